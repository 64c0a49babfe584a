"""Crons: runs that begin by themselves, at times that a schedule says (spec 12)."""
