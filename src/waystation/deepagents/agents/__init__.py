"""Agents: their settings, who may do what with them, and their routes (MDA 4 to 8)."""
