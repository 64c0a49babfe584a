"""The second API: Managed Deep Agents, below ``/v1/deepagents`` and its alias ``/v1/fleet`` (its own reference: "MDA")."""
