"""Graph factories: which arguments one takes, and turning what it gives back into a graph (spec 17.2)."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from types import UnionType
from typing import Annotated, Any, ForwardRef, Literal, Union, get_args, get_origin

import langgraph_sdk.runtime as sdk
from langchain_core.runnables import RunnableConfig
from langgraph.graph import StateGraph
from langgraph.pregel import Pregel
from msgspec import Struct
from typing_extensions import TypeAliasType

from waystation.errors import NotAGraph

__all__ = ["Factory", "Role", "build"]

Role = Literal["config", "runtime"]

_RUNTIME_CLASSES = (sdk._ExecutionRuntime, sdk._ReadRuntime, sdk._ServerRuntimeBase)
_FORMS = "a factory takes nothing, the config, a ServerRuntime, or both"


class Factory(Struct, frozen=True):
    """A callable that makes a graph, with the roles of its parameters."""

    function: Callable[..., Any]
    positional: tuple[Role, ...]
    by_name: tuple[tuple[str, Role], ...]
    context_type: Any = None
    """What the runtime is parameterised with, as in ``ServerRuntime[MyContext]``."""

    @classmethod
    def of(cls, function: Callable[..., Any]) -> Factory:
        """The factory that `function` is. Raises ValueError with what is wrong with its signature."""
        try:
            signature = inspect.signature(function)
        except (TypeError, ValueError) as error:
            raise ValueError(f"the signature of the factory cannot be read: {error}") from None
        bound = function.keywords if isinstance(function, functools.partial) else {}
        parameters = [parameter for name, parameter in signature.parameters.items() if name not in bound]
        _check_kinds(parameters)
        annotations = [_resolved(parameter.annotation, function) for parameter in parameters]
        roles = _roles([_is_runtime(annotation, function) for annotation in annotations])
        named = [
            (parameter, role)
            for parameter, role in zip(parameters, roles, strict=True)
            if parameter.kind is inspect.Parameter.KEYWORD_ONLY
        ]
        return cls(
            function,
            positional=tuple(roles[: len(roles) - len(named)]),
            by_name=tuple((parameter.name, role) for parameter, role in named),
            context_type=next((found for found in map(_context_type, annotations) if found is not None), None),
        )

    @property
    def wants_runtime(self) -> bool:
        return "runtime" in self.positional or any(role == "runtime" for _, role in self.by_name)

    def call(self, config: RunnableConfig, runtime: Any) -> Any:
        """What the factory returns: a graph, or something that `build` can make into one."""
        given: dict[Role, Any] = {"config": config, "runtime": runtime}
        return self.function(
            *(given[role] for role in self.positional), **{name: given[role] for name, role in self.by_name}
        )


async def build(graph_id: str, made: Any, stack: AsyncExitStack) -> Pregel[Any, Any, Any, Any]:
    """The graph that a factory's result `made` stands for; clean-up is left on `stack`. Raises NotAGraph."""
    while True:
        if isinstance(made, Pregel):
            return made
        if isinstance(made, StateGraph):
            return made.compile(name=graph_id)
        if inspect.isawaitable(made):
            made = await made
        elif inspect.isasyncgen(made):
            made = await stack.enter_async_context(asynccontextmanager(_returning(made))())
        elif inspect.isgenerator(made):
            made = stack.enter_context(contextmanager(_returning(made))())
        elif hasattr(type(made), "__aenter__"):
            made = await stack.enter_async_context(made)
        elif hasattr(type(made), "__enter__"):
            made = stack.enter_context(made)
        else:
            raise NotAGraph(f"The factory of graph {graph_id!r} made a {type(made).__name__}, which is not a graph.")


def _returning(value: Any) -> Callable[[], Any]:
    return lambda: value


def _check_kinds(parameters: Iterable[inspect.Parameter]) -> None:
    for parameter in parameters:
        if parameter.kind in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD):
            raise ValueError(f"the factory takes {parameter}; {_FORMS}, named one by one")


def _roles(is_runtime: list[bool]) -> list[Role]:
    match is_runtime:
        case []:
            return []
        case [only]:
            return ["runtime" if only else "config"]
        case [first, second] if first != second:
            return ["runtime", "config"] if first else ["config", "runtime"]
        case [_, _]:
            raise ValueError("of the factory's two parameters exactly one must be annotated as ServerRuntime")
    raise ValueError(f"the factory takes {len(is_runtime)} parameters; {_FORMS}")


def _resolved(annotation: Any, function: Callable[..., Any]) -> Any:
    """`annotation` itself, or what its text stands for; the text when that is only known to type checkers."""
    if isinstance(annotation, ForwardRef):
        annotation = annotation.__forward_arg__
    if not isinstance(annotation, str):
        return annotation
    target = inspect.unwrap(function)
    while isinstance(target, functools.partial):
        target = inspect.unwrap(target.func)
    if not hasattr(target, "__globals__"):
        target = type(target).__call__
    try:
        return eval(annotation, getattr(target, "__globals__", {}))
    except (NameError, AttributeError, TypeError, SyntaxError):
        return annotation


def _is_runtime(annotation: Any, function: Callable[..., Any]) -> bool:
    annotation = _resolved(annotation, function)
    if isinstance(annotation, str):
        return re.search(r"\bServerRuntime\b", annotation) is not None
    if annotation is sdk.ServerRuntime or annotation in _RUNTIME_CLASSES:
        return True
    origin = get_origin(annotation)
    if origin is sdk.ServerRuntime or origin in _RUNTIME_CLASSES:
        return True
    if origin is Annotated:
        return _is_runtime(get_args(annotation)[0], function)
    if origin in (Union, UnionType):
        return any(_is_runtime(argument, function) for argument in get_args(annotation))
    if isinstance(annotation, TypeAliasType):
        return _is_runtime(annotation.__value__, function)
    return False


def _context_type(annotation: Any) -> Any:
    """``C`` of ``ServerRuntime[C]``, also within Annotated and unions."""
    origin = get_origin(annotation)
    if origin is sdk.ServerRuntime or origin in _RUNTIME_CLASSES:
        return get_args(annotation)[0]
    if origin is Annotated:
        return _context_type(get_args(annotation)[0])
    if origin in (Union, UnionType):
        return next((found for found in map(_context_type, get_args(annotation)) if found is not None), None)
    return None
