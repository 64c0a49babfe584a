"""The database: one seam, two dialects."""
