"""Model Context Protocol: every assistant that a caller sees is a tool at ``/mcp`` (spec 15).

The official ``mcp`` library knows the protocol in all its revisions; it is imported when the first client comes, because that takes
longer than the whole server may take to start.
"""
