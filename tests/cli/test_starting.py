"""Packages that are loaded on first use behave as if they had been imported."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from waystation.cli.starting import with_room

PACKAGE = """
import sys
print("executed", file=sys.stderr)
from slow.part import Part as Part
__all__ = ["Part", "here"]
here = "slow"
"""


def _python(directory: Path, script: str) -> subprocess.CompletedProcess[str]:
    package = directory / "slow"
    package.mkdir()
    (package / "__init__.py").write_text(PACKAGE)
    (package / "part.py").write_text("class Part: ...\n")
    prelude = "from waystation.cli.starting import load_on_first_use\nload_on_first_use('slow')\n"
    return subprocess.run(
        [sys.executable, "-c", prelude + textwrap.dedent(script)],
        cwd=directory,
        env={"PYTHONPATH": str(directory)},
        capture_output=True,
        text=True,
        check=True,
    )


def test_a_submodule_imports_without_executing_its_package(tmp_path: Path) -> None:
    done = _python(
        tmp_path, "from slow.part import Part; import slow; print(slow.__path__ != [], slow.part.Part is Part)"
    )
    assert (done.stdout, done.stderr) == ("True True\n", "")


def test_a_name_of_the_package_executes_it_once(tmp_path: Path) -> None:
    done = _python(tmp_path, "import slow; print(slow.here, slow.Part.__name__, slow.here)")
    assert (done.stdout, done.stderr) == ("slow Part slow\n", "executed\n")


def test_from_import_and_star_import_work(tmp_path: Path) -> None:
    done = _python(tmp_path, "from slow import here\nfrom slow import *\nprint(here, Part.__name__)")
    assert (done.stdout, done.stderr) == ("slow Part\n", "executed\n")


def test_a_name_that_is_not_there_is_an_ordinary_error(tmp_path: Path) -> None:
    done = _python(tmp_path, "import slow; print(hasattr(slow, 'missing'), hasattr(slow, '__missing__'))")
    assert done.stdout == "False False\n"


def _hastened(script: str, env: str = "{}") -> str:
    """What `script` prints in a process that starts as one that serves does, with the variables `env`."""
    prelude = (
        f"from waystation.cli.starting import hasten_libraries, hasten_start\nhasten_start()\nhasten_libraries({env})\n"
    )
    return subprocess.run(
        [sys.executable, "-c", prelude + textwrap.dedent(script)], capture_output=True, text=True, check=True
    ).stdout


def test_the_slow_package_of_langchain_waits_and_is_whole_when_asked_for() -> None:
    script = """
        import sys
        import langgraph.graph
        print("langsmith.types.run" in sys.modules)
        from langsmith.types import Run
        print(Run.__module__, sys.modules["langsmith.types.run"].Run is Run)
    """
    assert _hastened(script) == "False\nlangsmith.types.run True\n"


def test_the_sdk_waits_though_langgraph_uses_a_part_of_it() -> None:
    script = """
        import sys
        import langgraph.pregel, waystation.app
        print("langgraph_sdk.client" in sys.modules)
        import langgraph_sdk
        print(langgraph_sdk.__version__ > "0", callable(langgraph_sdk.get_client))
    """
    assert _hastened(script) == "False\nTrue True\n"


def test_a_log_without_rich_leaves_rich_to_those_who_import_it() -> None:
    script = """
        import sys
        import structlog
        print(structlog.dev.plain_traceback is not None, "rich" in sys.modules)
        from rich.console import Console
        print(Console.__module__)
    """
    assert _hastened(script) == "True False\nrich.console\n"


def test_models_of_tracing_are_built_when_they_are_used_and_others_at_once() -> None:
    script = """
        from langsmith.schemas import Run
        from pydantic import BaseModel
        from pydantic_core import SchemaValidator
        class Own(BaseModel):
            x: int
        def built(model):
            return isinstance(model.__pydantic_validator__, SchemaValidator)
        print(built(Run), built(Own), BaseModel.model_config)
        from langsmith.run_trees import RunTree
        tree = RunTree(name="r", inputs={"a": 1}, extra={})
        run = Run(id=tree.id, name="r", run_type="chain", start_time=tree.start_time, inputs={}, trace_id=tree.id)
        print(run.id == tree.id, built(Run))
    """
    assert _hastened(script) == "False True {}\nTrue True\n"


def _loaded(env: str) -> str:
    script = """
        import sys
        from waystation.cli.starting import SHOWN_TO_TRACING
        import waystation.app
        print(*(name for name in (*SHOWN_TO_TRACING, "pygments") if name in sys.modules))
        import httpx, psutil, opentelemetry.sdk.trace
        print(httpx.Client.__module__, psutil.__name__, opentelemetry.sdk.trace.TracerProvider.__name__)
    """
    shown, usable = _hastened(script, env).splitlines()
    assert usable == "httpx psutil TracerProvider"
    return shown


def test_libraries_that_only_tracing_wants_are_loaded_where_there_is_tracing() -> None:
    assert _loaded("{}") == ""
    assert _loaded("{'LANGSMITH_TRACING': 'true'}") == "opentelemetry.sdk psutil httpx2"


def test_what_serves_imports_no_more_than_it_has_to(tmp_path: Path) -> None:
    """The order counts: whoever imports the log before it is hastened imports rich along with it."""
    (tmp_path / "langgraph.json").write_text('{"graphs": {}}')
    script = """
        import sys
        from pathlib import Path
        from waystation.cli import serving
        def serve(*_arguments, **_options):
            import waystation.app
            names = ("structlog", "httpx", "langsmith", "rich", "pygments", "attr", "httpx2", "prometheus_client", "click")
            print(*(name for name in names if name in sys.modules))
        serving.serve_project = serve
        serving.serve_here(Path("langgraph.json"), "127.0.0.1", 0, {})
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout == "structlog httpx langsmith\n"


def test_room_for_frames_changes_nothing_else() -> None:
    @with_room
    def depth(left: int, *, step: int = 1) -> int:
        """How deep it went."""
        if left < 0:
            raise ValueError(left)
        return 0 if left == 0 else 1 + depth(left - step)

    assert (depth(50), depth(4, step=2), depth.__doc__) == (50, 3, "How deep it went.")
    with pytest.raises(ValueError, match="-1"):
        depth(-1)
