"""Names of models: what they stand for, and what is said about those that stand for nothing."""

from __future__ import annotations

import pytest

from waystation.config import values
from waystation.deepagents.models import Models, ModelUnavailable, chat_model
from waystation.deepagents.models.demo import DemoChatModel


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "MISTRAL_API_KEY", "GOOGLE_API_KEY", "GEMINI_API_KEY"):
        monkeypatch.delenv(name, raising=False)


def test_the_default_and_configurations() -> None:
    models = Models("slow", {"slow": {"model": "demo:chat", "seconds_per_word": 1.5}})
    for name in (None, "", "slow"):
        model = models.chat_model(name)
        assert isinstance(model, DemoChatModel)
        assert model.seconds_per_word == 1.5
    assert isinstance(models.chat_model("demo:chat"), DemoChatModel)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (None, "The agent names no model, and the server has no default: set runtime.model.model_id"),
        ("gpt-5", "The server has no model configuration 'gpt-5' (WAYSTATION_MODELS); there are none"),
        (":x", "must be named as provider:model"),
        ("openai:", "must be named as provider:model"),
        ("demo:poem", "There is no model 'demo:poem'; there is demo:chat"),
        ("openai:gpt-5", "The model 'openai:gpt-5' needs a key: set OPENAI_API_KEY in the environment"),
        ("google_genai:x", "set GOOGLE_API_KEY or GEMINI_API_KEY"),
        ("nope:x", "init_chat_model knows no provider 'nope'"),
        ("ollama:x", "pip install langchain-ollama"),
    ],
)
def test_what_is_wrong_with_a_name(name: str | None, said: str) -> None:
    with pytest.raises(ModelUnavailable) as caught:
        Models().chat_model(name)
    assert said in caught.value.message


def test_known_configurations_are_listed() -> None:
    with pytest.raises(ModelUnavailable, match="known are fast, slow"):
        Models(None, {"slow": {"model": "demo:chat"}, "fast": {"model": "demo:chat"}}).chat_model("other")


def test_arguments_that_are_wrong_are_named_and_not_repeated() -> None:
    with pytest.raises(ModelUnavailable) as caught:
        chat_model("openai:gpt-5", api_key="sk-test", max_retries="s3cret")
    assert "max_retries is missing or wrong for it" in caught.value.message
    assert "s3cret" not in caught.value.message


def test_a_key_may_be_part_of_a_configuration() -> None:
    assert chat_model("openai:gpt-5", api_key="sk-test")._llm_type == "openai-chat"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"a:b": {"model": "demo:chat"}}', "names without a colon"),
        ('{"a": "demo:chat"}', "must have objects as values"),
        ('{"a": {}}', "must say for each name what it stands for"),
        ('{"a": {"model": "gpt"}}', "must say for each name what it stands for"),
        ("[]", "must be a JSON object"),
    ],
)
def test_the_setting_is_checked_at_the_start(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        values.model_configurations(text)
