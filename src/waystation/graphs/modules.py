"""Importing the modules that graphs live in (spec 17.1)."""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.util
import os
import re
import sys
from collections.abc import Iterable
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

from waystation.errors import ConfigError, GraphLoadError
from waystation.graphs.failures import Culprits, graph_named, load_error

__all__ = ["Modules", "line_of"]


class Modules:
    """Imports what the references of one project name; a file is executed once however many graphs it holds."""

    def __init__(self, project_dir: Path, dependencies: Iterable[str]) -> None:
        self.project_dir = project_dir.resolve()
        roots = [self.project_dir, *(Path(directory) for directory in dependencies)]
        self.culprits = Culprits(roots)
        self._loaded: dict[Path, ModuleType] = {}
        importlib.invalidate_caches()
        _extend_path(_import_directories(roots))

    def part(self, key: str, reference: str) -> Any:
        """What `key` of the configuration names by `reference`. Raises ConfigError, which says where and why."""
        try:
            module, variable = self._load(f"{key}: {reference}", reference)
        except GraphLoadError as error:
            raise ConfigError(error.message) from error
        if not hasattr(module, variable):
            raise ConfigError(f"{key}: {reference}: there is no such variable.")
        return getattr(module, variable)

    def load(self, graph_id: str, reference: str) -> tuple[ModuleType, str]:
        """The module that the `reference` of a graph names, and the name of the variable in it. Raises GraphLoadError."""
        return self._load(graph_named(graph_id, reference), reference)

    def _load(self, what: str, reference: str) -> tuple[ModuleType, str]:
        where, _, variable = reference.rpartition(":")
        if "/" in where or (where.endswith(".py") and (self.project_dir / where).is_file()):
            return self._file(what, (self.project_dir / where).resolve()), variable
        try:
            return importlib.import_module(where), variable
        except (Exception, SystemExit) as error:
            raise self.culprits.import_error(what, error) from error

    def _file(self, what: str, file: Path) -> ModuleType:
        if file in self._loaded:
            return self._loaded[file]
        if not file.is_file():
            raise load_error(what, None, f"the file {file} does not exist")
        if file.suffix != ".py":
            raise load_error(what, (file, None), "only Python files (.py) can be loaded")
        loader = SourceFileLoader(self._module_name(file), str(file))
        spec = importlib.util.spec_from_loader(loader.name, loader)
        assert spec is not None
        module = importlib.util.module_from_spec(spec)
        _extend_path([file.parent])
        self.culprits.roots.append(file.parent)
        sys.modules[module.__name__] = module
        try:
            loader.exec_module(module)
        except (Exception, SystemExit) as error:
            del sys.modules[module.__name__]
            raise self.culprits.import_error(what, error) from error
        self._loaded[file] = module
        return module

    def _module_name(self, file: Path) -> str:
        """A name for `file` that no import can produce by chance.

        Checkpoints name the modules of the classes in them, so it depends only on the path within the project and stays
        the same when the project moves; two projects in one process are told apart by their absolute paths.
        """
        relative = os.path.relpath(file, self.project_dir)
        name = f"waystation_graph_{re.sub(r'[^0-9A-Za-z]+', '_', file.stem)}_{_digest(relative)}"
        taken = sys.modules.get(name)
        if taken is None or getattr(taken, "__file__", None) == str(file):
            return name
        return f"{name}_{_digest(str(file))}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _import_directories(roots: Iterable[Path]) -> list[Path]:
    """Each root, and its ``src`` directory when that holds packages rather than being one."""
    directories = []
    for root in roots:
        source = root / "src"
        directories.append(root)
        if source.is_dir() and not (source / "__init__.py").exists():
            directories.append(source)
    return directories


def _extend_path(directories: Iterable[Path]) -> None:
    new = [str(directory) for directory in dict.fromkeys(directories) if str(directory) not in sys.path]
    sys.path[:0] = new


def line_of(module: ModuleType, variable: str) -> int | None:
    """The last line of `module`'s source that binds `variable` at the top level."""
    if not (file := getattr(module, "__file__", None)) or not file.endswith(".py"):
        return None
    line = None
    for statement in ast.parse(Path(file).read_bytes()).body:
        if any(variable == name for name in _bound(statement)):
            line = statement.lineno
    return line


def _bound(statement: ast.stmt) -> list[str]:
    match statement:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            return [statement.name]
        case ast.Assign():
            return [name.id for target in statement.targets for name in ast.walk(target) if isinstance(name, ast.Name)]
        case ast.AnnAssign(target=ast.Name(id=name)):
            return [name]
        case ast.Import() | ast.ImportFrom():
            return [alias.asname or alias.name for alias in statement.names]
    return []
