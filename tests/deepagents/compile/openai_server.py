"""A server that speaks OpenAI's chat completions over HTTP: it says what it is told to, and keeps what it was asked."""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

__all__ = ["OpenAIServer", "calling", "openai_server"]


def calling(name: str, **args: Any) -> dict[str, Any]:
    """A message that calls a tool."""
    function = {"name": name, "arguments": json.dumps(args)}
    return {
        "content": None,
        "tool_calls": [{"index": 0, "id": f"call_{name}", "type": "function", "function": function}],
    }


class OpenAIServer:
    """What it says next, and what it has been asked."""

    def __init__(self) -> None:
        self.says: deque[dict[str, Any] | str] = deque()
        self.asked: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.url = ""

    def prompt(self, index: int = -1) -> str:
        """The system prompt of a request."""
        content = next(each["content"] for each in self.asked[index]["messages"] if each["role"] == "system")
        return content if isinstance(content, str) else "".join(block["text"] for block in content)

    def tools(self, index: int = -1) -> set[str]:
        """The names of the tools of a request."""
        return {tool["function"]["name"] for tool in self.asked[index]["tools"]}


@contextmanager
def openai_server() -> Iterator[OpenAIServer]:
    """Listens on a free port of the loopback interface."""
    state = OpenAIServer()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            state.asked.append(request)
            state.keys.append(self.headers["Authorization"])
            said = state.says.popleft()
            message = {"content": said} if isinstance(said, str) else said
            if request.get("stream"):
                self._answer("text/event-stream", "".join(_events(message)))
            else:
                choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": "stop"}
                self._answer("application/json", json.dumps(_completion("chat.completion", choice)))

        def _answer(self, content_type: str, text: str) -> None:
            body = text.encode()
            self.send_response(200)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    state.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _events(message: dict[str, Any]) -> Iterator[str]:
    deltas = [message] if message.get("tool_calls") else [{"content": word} for word in message["content"].split(" ")]
    for delta in deltas:
        choice = {"index": 0, "delta": {"role": "assistant", **delta}, "finish_reason": None}
        yield f"data: {json.dumps(_completion('chat.completion.chunk', choice))}\n\n"
    last = {"index": 0, "delta": {}, "finish_reason": "stop"}
    yield f"data: {json.dumps(_completion('chat.completion.chunk', last))}\n\ndata: [DONE]\n\n"


def _completion(kind: str, choice: dict[str, Any]) -> dict[str, Any]:
    return {"id": "chatcmpl-1", "object": kind, "created": 0, "model": "gpt-test", "choices": [choice]}
