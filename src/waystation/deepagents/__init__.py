"""Deep Agents: agents that are a small tree of files, run by the library of that name.

The library takes seconds to import, so nothing of it is imported before an agent is compiled.
"""
