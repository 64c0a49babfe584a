"""`load_config`: what ``langgraph.json`` and the environment make of a `Config`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from waystation.config import GraphSpec, IndexConfig, StoreConfig, load_config
from waystation.errors import ConfigError


def project(tmp_path: Path, **keys: Any) -> Path:
    path = tmp_path / "langgraph.json"
    path.write_text(json.dumps({"graphs": {"agent": "./agent.py:graph"}, **keys}))
    return path


def failure(path: Path, **environ: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config(path, environ)
    return str(caught.value)


def test_the_smallest_file_gives_every_default(tmp_path: Path) -> None:
    config = load_config(project(tmp_path), {})

    assert config.project_dir == tmp_path
    assert config.graphs == {"agent": GraphSpec("agent", "./agent.py:graph", None)}
    assert config.data_dir == tmp_path / ".waystation"
    assert config.jobs_per_worker == 64
    assert config.max_body_bytes == 300 * 1024 * 1024
    assert config.http.disabled == frozenset()
    assert config.http.cors is None
    assert config.unsupported == ()
    assert config.notices == ()


def test_a_graph_entry_may_be_an_object_with_a_description(tmp_path: Path) -> None:
    config = load_config(project(tmp_path, graphs={"a": {"path": "pkg.mod:g", "description": "Answers."}}), {})

    assert config.graphs["a"] == GraphSpec("a", "pkg.mod:g", "Answers.")


def test_local_dependencies_are_directories_and_requirements_are_only_reported(tmp_path: Path) -> None:
    (tmp_path / "pkg").mkdir()
    config = load_config(project(tmp_path, dependencies=[".", "./pkg", "langchain_openai", "git+https://x/y.git"]), {})

    assert config.dependencies == (str(tmp_path), str(tmp_path / "pkg"))
    assert any("langchain_openai, git+https://x/y.git" in notice for notice in config.notices)


def test_a_missing_local_dependency_is_an_error(tmp_path: Path) -> None:
    assert "dependencies: './nowhere' is not a directory" in failure(project(tmp_path, dependencies=["./nowhere"]))


def test_variables_of_the_process_win_over_the_dotenv_file(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("N_JOBS_PER_WORKER=3\nBG_JOB_TIMEOUT_SECS=60\nAPI_KEY=secret\n")
    config = load_config(project(tmp_path, env=".env"), {"N_JOBS_PER_WORKER": "5"})

    assert config.jobs_per_worker == 5
    assert config.job_timeout_s == 60
    assert config.env["API_KEY"] == "secret"
    assert "secret" not in repr(config)


def test_env_may_be_an_object(tmp_path: Path) -> None:
    config = load_config(project(tmp_path, env={"N_JOBS_PER_WORKER": 7, "DEBUG": True}), {})

    assert config.env == {"N_JOBS_PER_WORKER": "7", "DEBUG": "true"}
    assert config.jobs_per_worker == 7


def test_a_missing_dotenv_file_is_a_notice(tmp_path: Path) -> None:
    config = load_config(project(tmp_path, env=".env"), {})

    assert config.env == {}
    assert config.notices == (f"env: the file {tmp_path / '.env'} does not exist",)


@pytest.mark.parametrize("env", [["A"], {"A": ["B"]}])
def test_env_of_another_form_is_an_error(tmp_path: Path, env: Any) -> None:
    assert "langgraph.json: env" in failure(project(tmp_path, env=env))


def test_http_switches_and_headers(tmp_path: Path) -> None:
    http = {
        "disable_store": True,
        "disable_mcp": True,
        "disable_webhooks": True,
        "disable_runs": False,
        "mount_prefix": "/api/",
        "configurable_headers": {"include": ["X-Tenant-*"], "includes": ["x-user"], "excludes": ["X-Secret"]},
        "cors": {"allow_origins": ["https://a.example"], "allow_credentials": True},
    }
    config = load_config(project(tmp_path, http=http), {}).http

    assert config.disabled == {"store", "mcp"}
    assert config.disable_webhooks is True
    assert config.mount_prefix == "/api"
    assert config.configurable_headers == {"includes": ["x-user", "x-tenant-*"], "excludes": ["x-secret"]}
    assert config.cors == {"allow_origins": ["https://a.example"], "allow_credentials": True}


def test_cors_variables(tmp_path: Path) -> None:
    path = project(tmp_path, http={"cors": {"allow_origins": ["https://file"]}})
    given = '{"allow_origins": ["https://env"]}'

    assert load_config(path, {"CORS_CONFIG": given}).http.cors == {"allow_origins": ["https://env"]}
    assert load_config(path, {"CORS_ALLOW_ORIGINS": "https://x"}).http.cors == {"allow_origins": ["https://file"]}
    assert "CORS_CONFIG: allow_origins" in failure(path, CORS_CONFIG='{"allow_origins": "*"}')


def test_cors_allow_origins_narrows_the_default_policy(tmp_path: Path) -> None:
    cors = load_config(project(tmp_path), {"CORS_ALLOW_ORIGINS": "https://a, https://b"}).http.cors

    assert cors is not None
    assert cors["allow_origins"] == ["https://a", "https://b"]
    assert cors["allow_methods"] == ["*"]
    assert "content-location" in cors["expose_headers"]


def test_the_mount_prefix_variable_wins(tmp_path: Path) -> None:
    path = project(tmp_path, http={"mount_prefix": "/file"})

    assert load_config(path, {"MOUNT_PREFIX": "/env"}).http.mount_prefix == "/env"
    assert "MOUNT_PREFIX: must start with '/'" in failure(path, MOUNT_PREFIX="api")
    assert "http.mount_prefix: paths that start with /noauth are reserved" in failure(
        project(tmp_path, http={"mount_prefix": "/noauth/x"})
    )


def test_sections_from_variables_replace_those_of_the_file(tmp_path: Path) -> None:
    environ = {
        "LANGSERVE_GRAPHS": '{"other": "/deps/other.py:graph"}',
        "LANGGRAPH_HTTP": '{"disable_threads": true}',
        "LANGGRAPH_STORE": '{"ttl": {"default_ttl": 5}}',
        "LANGGRAPH_CHECKPOINTER": '{"ttl": {"default_ttl": 9, "strategy": "keep_latest"}}',
        "LANGGRAPH_AUTH": "null",
    }
    config = load_config(project(tmp_path, http={"disable_runs": True}), environ)

    assert list(config.graphs) == ["other"]
    assert config.http.disabled == {"threads"}
    assert config.store == StoreConfig(ttl={"default_ttl": 5})
    assert config.checkpointer == {"ttl": {"default_ttl": 9, "strategy": "keep_latest"}}
    assert config.unsupported == ()


def test_an_image_needs_no_file(tmp_path: Path) -> None:
    config = load_config(tmp_path / "langgraph.json", {"LANGSERVE_GRAPHS": '{"a": "pkg:graph"}'})

    assert list(config.graphs) == ["a"]
    assert config.project_dir == tmp_path


@pytest.mark.parametrize(
    ("value", "ttl"),
    [
        ("30", {"strategy": "delete", "default_ttl": 30}),
        ('{"strategy": "keep_latest", "default_ttl": 5}', {"strategy": "keep_latest", "default_ttl": 5}),
    ],
)
def test_thread_ttl_variable(tmp_path: Path, value: str, ttl: dict[str, Any]) -> None:
    path = project(tmp_path, checkpointer={"ttl": {"default_ttl": 1}})

    assert load_config(path, {"LANGGRAPH_THREAD_TTL": value}).checkpointer["ttl"] == ttl


@pytest.mark.parametrize("value", ["soon", "0", "[]", '{"strategy": "burn"}'])
def test_a_bad_thread_ttl_is_refused(tmp_path: Path, value: str) -> None:
    assert "LANGGRAPH_THREAD_TTL must be a number of minutes" in failure(project(tmp_path), LANGGRAPH_THREAD_TTL=value)


def test_default_configs_of_graphs(tmp_path: Path) -> None:
    given = {"agent": {"configurable": {"model": "m"}}, "gone": {}}
    config = load_config(project(tmp_path), {"LANGGRAPH_CONFIG": json.dumps(given)})

    assert config.graph_configs["agent"] == {"configurable": {"model": "m"}}
    assert any("'gone'" in notice for notice in config.notices)
    assert "LANGGRAPH_CONFIG: agent: must be an object" in failure(project(tmp_path), LANGGRAPH_CONFIG='{"agent": 1}')


def test_keys_for_building_images_are_accepted_and_others_reported(tmp_path: Path) -> None:
    path = project(
        tmp_path, python_version="3.11", dockerfile_lines=["RUN x"], grahps={}, http={"disable_thread": True}
    )
    config = load_config(path, {})

    assert config.unsupported == ()
    assert sorted(config.notices) == [
        "grahps: this key means nothing to this server",
        "http.disable_thread: this key means nothing to this server",
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "line 1, column 2: not JSON"),
        ("[]", "must hold a JSON object"),
        ("{}", "graphs: the key is missing"),
        ('{"graphs": {"a": "x:y", "a": "z:y"}}', "the key 'a' appears twice"),
        ('{"graphs": []}', "graphs: Input should be a valid dictionary"),
        ('{"graphs": {"a": 5}}', "graphs.a: Input should be"),
        ('{"graphs": {"a": "agent.py"}}', "graphs.a.path: 'agent.py' must be './path/file.py:variable'"),
        ('{"graphs": {"a": {"description": "x"}}}', "graphs.a.path: Field required"),
        ('{"graphs": {"": "x:y"}}', "a graph id must not be empty"),
        ('{"graphs": {"fe096781-5601-53d2-b2f6-0d3403f7e9ca": "x:y"}}', "is a UUID"),
        ('{"graphs": {}, "dependencies": "."}', "dependencies: Input should be a valid list"),
        ('{"graphs": {}, "http": {"disable_runs": "yes"}}', "http.disable_runs: Input should be a valid boolean"),
        ('{"graphs": {}, "http": {"cors": {"max_age": "1"}}}', "http.cors.max_age: Input should be a valid integer"),
        ('{"graphs": {}, "store": {"ttl": {"default_ttl": 0}}}', "store.ttl.default_ttl: Input should be greater"),
        ('{"graphs": {}, "store": {"index": {"embed": "a:b"}}}', "store.index.dims: Field required"),
        (
            '{"graphs": {}, "store": {"index": {"dims": 0, "embed": "a:b"}}}',
            "store.index.dims: Input should be greater",
        ),
        ('{"graphs": {}, "store": {"index": {"dims": 3}}}', "store.index.embed: Field required"),
        (
            '{"graphs": {}, "store": {"index": {"dims": 3, "embed": "a"}}}',
            "store.index.embed: 'a' must be 'provider:model'",
        ),
        (
            '{"graphs": {}, "store": {"index": {"dims": 3, "embed": "a:b", "fields": []}}}',
            "store.index.fields: List should",
        ),
        (
            '{"graphs": {}, "store": {"index": {"dims": 3, "embed": "a:b", "fields": ["$.t"]}}}',
            "begins in the value: 't'",
        ),
        ('{"graphs": {}, "store": {"path": "s.py"}}', "store.path: 's.py' must be './path/file.py:variable'"),
        ('{"graphs": {}, "store": {"path": "s:s", "ttl": {}}}', "store: path: a store of the project's own replaces"),
        ('{"graphs": {}, "checkpointer": {"ttl": {"strategy": "x"}}}', "checkpointer.ttl.strategy: Input should be"),
    ],
)
def test_a_bad_file_is_refused_with_file_key_and_cause(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "langgraph.json"
    path.write_text(content)
    said = failure(path)

    assert str(path) in said
    assert message in said


def test_the_index_of_the_store(tmp_path: Path) -> None:
    index = {"dims": 3, "embed": "openai:text-embedding-3-small"}
    config = load_config(project(tmp_path, store={"index": index}), {})
    assert config.store.index == IndexConfig(3, "openai:text-embedding-3-small", ("$",))
    assert config.unsupported == ()


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    assert "langgraph.json: the file does not exist" in failure(tmp_path / "langgraph.json")


def test_a_bad_section_variable_is_named(tmp_path: Path) -> None:
    path = project(tmp_path)

    assert "environment variable LANGGRAPH_HTTP: http.disable_runs" in failure(
        path, LANGGRAPH_HTTP='{"disable_runs": 1}'
    )
    assert "LANGGRAPH_STORE is not JSON" in failure(path, LANGGRAPH_STORE="{oops")
