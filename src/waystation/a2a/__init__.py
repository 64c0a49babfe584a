"""Agent2Agent: every assistant that a caller sees is an agent at ``/a2a/{assistant_id}`` (spec 14).

A *context* is a thread and a *task* one or more of its runs: the first, and one for each time that the client has answered. What is
stored of a task (`a2a_tasks`) says which run is its latest; its state is always derived from that run and the thread.
"""
