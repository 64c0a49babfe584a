"""MCP servers that a workspace has registered, and their tools in runs (MDA 13, 14).

`McpServers` is all of it that a server has; its `tools.within(workspace)` is what compiling an agent needs of that. The `mcp` library is
imported with the first connection.
"""

from waystation.deepagents.mcp_servers.servers import McpServers

__all__ = ["McpServers"]
