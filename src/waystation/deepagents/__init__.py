"""The second API: Managed Deep Agents, below ``/v1/deepagents`` and its alias ``/v1/fleet`` (its own reference: "MDA").

An agent is a small tree of files, run by the library ``deepagents``, which takes seconds to import: nothing of it is imported before an
agent is compiled.
"""
