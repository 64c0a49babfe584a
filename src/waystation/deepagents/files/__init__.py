"""An agent's definition as a small tree of files, and the typed fields that stand for some of them (MDA 7)."""
