"""What makes a process that serves start sooner: a quarter of the time goes here, most of it into imports of libraries."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import wraps
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import FunctionType, ModuleType
from typing import Any, ParamSpec, TypeVar, cast

__all__ = ["UNUSED_AT_START", "hasten_libraries", "hasten_start", "load_on_first_use", "with_room"]

P = ParamSpec("P")
T = TypeVar("T")

UNUSED_AT_START = ("langsmith.types", "langgraph_sdk")
"""Packages whose import is slow and which others import for next to nothing: LangChain the first (150 modules of Pydantic
models, 0.3 s), LangGraph the second (two clients with their HTTP library, 0.15 s) for one of its submodules."""

PUBLIC = ("__all__", "__version__")
"""Names of a package between underscores that others than the import system ask for."""


SHOWN_TO_TRACING = ("opentelemetry.sdk", "psutil", "httpx2")
"""What LangSmith's client imports if it is there (0.1 s): to send traces to others as well, to say how busy the machine is, and
instead of an HTTP library that has been imported anyway."""

TRACING = ("LANGSMITH_TRACING", "LANGSMITH_TRACING_V2", "LANGCHAIN_TRACING", "LANGCHAIN_TRACING_V2")
"""The variables that turn tracing by LangSmith on."""


FRAMES_BYTES = 384 * 1024
"""Room for the frames of imports within imports within imports; memory is only what is used of it."""

BYTES_OF_A_SLOT = 8


def with_room(run: Callable[P, T]) -> Callable[P, T]:
    """`run` on a stretch of the interpreter's stack that is long enough for all it calls.

    CPython takes that stack from the system in chunks of 16 kB, and gives one back as soon as nothing is on it. Where imports go
    deep, calls cross the end of a chunk again and again: 10,000 times at a start, a tenth of its time. A frame that asks for more than
    a chunk gets a longer one, and leaves the rest of that to whatever it calls."""

    @wraps(run)
    def roomy(*args: P.args, **kwargs: P.kwargs) -> T:
        return run(*args, **kwargs)

    function = cast(FunctionType, roomy)
    function.__code__ = function.__code__.replace(co_stacksize=FRAMES_BYTES // BYTES_OF_A_SLOT)
    return roomy


def hasten_start() -> None:
    """Call before the first heavy import. Serving turns the collector on again."""
    gc.disable()  # nothing of the million objects that imports make is garbage
    load_on_first_use(*UNUSED_AT_START)
    with _absent("rich"):  # for tracebacks that we do not use, which show secrets
        import_module("structlog")


def hasten_libraries(env: Mapping[str, str]) -> None:
    """Call after that, when the variables of the process and the project are known, and before LangChain is imported."""
    with _absent("click"):  # for a command line; without it rich and Pygments are not imported either
        import_module("httpx")
    with _models_built_on_first_use():  # 60 models that only tracing uses
        import_module("langsmith.schemas")
    if not any(env.get(name) for name in TRACING):
        with _absent(*SHOWN_TO_TRACING):
            import_module("langsmith.client")


@contextmanager
def _absent(*packages: str) -> Iterator[None]:
    """While this is open, whoever can do without `packages` does, but for those that have been imported already."""
    modules: dict[str, Any] = sys.modules
    with ExitStack() as restored:
        for package in packages:
            if package not in modules:
                modules[package] = None
                restored.callback(modules.pop, package)
        yield


@contextmanager
def _models_built_on_first_use() -> Iterator[None]:
    """Pydantic models that are defined while this is open get their validators when they are first used."""
    from pydantic import BaseModel

    config = BaseModel.model_config
    BaseModel.model_config = {**config, "defer_build": True}
    try:
        yield
    finally:
        BaseModel.model_config = config


def load_on_first_use(*packages: str) -> None:
    """Have each of `packages` execute when one of its names is first asked for; its submodules import as ever."""
    sys.meta_path.insert(0, _FirstUseFinder(packages))


class _FirstUseFinder(MetaPathFinder):
    def __init__(self, packages: Sequence[str]) -> None:
        self._packages = packages

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in self._packages:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _FirstUseLoader(spec.loader)
        return spec


class _FirstUseLoader(Loader):
    """Leaves a module empty but for a ``__getattr__`` (PEP 562) that executes it."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        names = vars(module)

        def load(name: str) -> Any:
            if name.startswith("__") and name not in PUBLIC:
                raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}")
            names.pop("__getattr__", None)  # another thread may have been here
            self._loader.exec_module(module)
            return getattr(module, name)

        names["__getattr__"] = load
