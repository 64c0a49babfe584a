"""What A2A answers when something is not possible: the codes of the protocol (spec 14)."""

from __future__ import annotations

from waystation.http.jsonrpc import INVALID_PARAMS, RpcError

__all__ = [
    "content_type_not_supported",
    "invalid",
    "not_cancelable",
    "pushes_not_supported",
    "task_not_found",
    "unsupported",
    "version_not_supported",
]


def invalid(message: str) -> RpcError:
    return RpcError(INVALID_PARAMS, message)


def task_not_found(task_id: str) -> RpcError:
    return RpcError(-32001, f"There is no task {task_id[:100]!r}.")


def not_cancelable(task_id: str, state: str) -> RpcError:
    return RpcError(-32002, f"The task {task_id} cannot be cancelled: it is {state}.")


def pushes_not_supported() -> RpcError:
    return RpcError(-32003, "This server sends no push notifications (http.disable_webhooks).")


def unsupported(message: str) -> RpcError:
    return RpcError(-32004, message)


def content_type_not_supported(message: str) -> RpcError:
    return RpcError(-32005, message)


def version_not_supported(version: str) -> RpcError:
    return RpcError(-32009, f"A2A {version[:20]!r} is not spoken here; versions 0.3 and 1.0 are.")
