"""MCP servers that a workspace has registered, and their tools in runs (MDA 13, 14).

`McpServers` is all of it that a server has; `ToolSource` is what compiling an agent needs of that. The `mcp` library is imported
with the first connection.
"""

from waystation.deepagents.mcp_servers.servers import McpServers
from waystation.deepagents.mcp_servers.tools import Offer, OfferedTool, Problem, ToolSource, Wanted

__all__ = ["McpServers", "Offer", "OfferedTool", "Problem", "ToolSource", "Wanted"]
