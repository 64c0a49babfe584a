"""The Managed Deep Agents API."""
