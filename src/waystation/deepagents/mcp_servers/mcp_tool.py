"""A tool of an MCP server as LangChain's agents use it.

`langchain-mcp-adapters` needs an `mcp` of before version 2, and ``langchain.mcp``, which is in beta, opens a session for each call
and lets a connection that fails end the run (see docs/architecture.md).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, Literal

from langchain_core.messages.content import create_audio_block, create_file_block, create_image_block, create_text_block
from langchain_core.tools import BaseTool, ToolException
from mcp.types import (
    AudioContent,
    BlobResourceContents,
    CallToolResult,
    EmbeddedResource,
    ImageContent,
    ResourceLink,
    TextContent,
    TextResourceContents,
)
from pydantic import PrivateAttr

from waystation.deepagents.mcp_servers.failures import ServerFailed
from waystation.encoding import encode

__all__ = ["McpTool"]

Ask = Callable[[dict[str, Any]], Future[CallToolResult]]


class McpTool(BaseTool):
    """Calls a tool with arguments that the server checks. What fails is told to the model, and never ends the run.

    The content of its message is text, or LangChain's content blocks if there is anything else; structured output is in the artifact,
    ``{"structured_content": …}``.
    """

    response_format: Literal["content", "content_and_artifact"] = "content_and_artifact"
    handle_tool_error: Any = True

    _server: str = PrivateAttr("")
    _ask: Ask = PrivateAttr()

    def asking(self, server: str, ask: Ask) -> McpTool:
        """This tool, with `ask` to begin a call and the name that messages give the server."""
        self._server, self._ask = server, ask
        return self

    # Positional only, and with no parameter of LangChain's: arguments of the server's tool may have any name.
    def _run(self, /, **arguments: Any) -> tuple[Any, Any]:
        try:
            return _answer(self._ask(arguments).result())
        except ServerFailed as failure:
            raise self._refusal(failure) from failure

    async def _arun(self, /, **arguments: Any) -> tuple[Any, Any]:
        try:
            return _answer(await asyncio.wrap_future(self._ask(arguments)))
        except ServerFailed as failure:
            raise self._refusal(failure) from failure

    def _refusal(self, failure: ServerFailed) -> ToolException:
        return ToolException(
            f"The tool did not work, because the MCP server {self._server!r} failed: {failure.message}. It may or may not have done "
            "what it was asked."
        )


def _answer(result: CallToolResult) -> tuple[Any, Any]:
    """The content and the artifact of a tool message. Raises ToolException for what the tool calls an error."""
    blocks = [_block(each) for each in result.content]
    texts = [block["text"] for block in blocks if block["type"] == "text"]
    if result.is_error:
        raise ToolException("\n".join(texts) or "The tool failed and did not say why.")
    structured = result.structured_content
    artifact = None if structured is None else {"structured_content": structured}
    if not blocks and structured is not None:
        return encode(structured).decode(), artifact
    return _plain(texts) if len(texts) == len(blocks) else blocks, artifact


def _plain(texts: Sequence[str]) -> str:
    return "\n".join(texts)


def _block(content: Any) -> Any:
    match content:
        case TextContent():
            return create_text_block(content.text)
        case ImageContent():
            return create_image_block(base64=content.data, mime_type=content.mime_type)
        case AudioContent():
            return create_audio_block(base64=content.data, mime_type=content.mime_type)
        case ResourceLink():
            # As text: a block with an address would be fetched by whoever serves the model, or be refused there.
            return create_text_block(f"{content.name}: {content.uri}")
        case EmbeddedResource(resource=TextResourceContents() as resource):
            return create_text_block(resource.text)
        case EmbeddedResource(resource=BlobResourceContents() as resource):
            return create_file_block(base64=resource.blob, mime_type=resource.mime_type or "application/octet-stream")
    return create_text_block(f"(content of the unknown kind {getattr(content, 'type', '?')!r})")
