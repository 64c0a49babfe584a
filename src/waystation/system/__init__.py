"""Health, information, metrics and the API reference (spec 16)."""
