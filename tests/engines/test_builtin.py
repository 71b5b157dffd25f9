from __future__ import annotations

import re

import pytest

from modelgrid.engines.builtin import Engine, builtin_engines
from modelgrid.engines.names import builtin_names

ENGINES = builtin_engines()
PLACEHOLDERS = {"model", "source", "host", "port", "state", "slug", "value", "program", "models", "sources", "count"}


def test_names_are_those_of_the_files() -> None:
    assert set(builtin_names()) == set(ENGINES)
    assert {"llamacpp", "ollama", "vllm", "custom"} <= set(ENGINES)


@pytest.mark.parametrize("engine", ENGINES.values(), ids=lambda engine: engine.name)
def test_every_placeholder_is_known(engine: Engine) -> None:
    texts = [
        *engine.command,
        *engine.env.values(),
        *engine.env_native.values(),
        *engine.after_start,
        engine.health.command,
        engine.upstream_model,
        *(word for words in engine.options.values() for word in (*words.command, *words.env.values())),
    ]
    found = {name for text in texts for name in re.findall(r"\{(\w+)\}", text)}
    assert found <= PLACEHOLDERS


@pytest.mark.parametrize("engine", ENGINES.values(), ids=lambda engine: engine.name)
def test_every_engine_serves_known_tasks_by_exact_paths(engine: Engine) -> None:
    assert set(engine.tasks) <= {"generate", "embed", "rerank", "transcribe", "speak"}
    assert all(path.startswith("/") for task in engine.tasks.values() for path in task.apis)
    assert set(engine.fetches) <= set(engine.sources)


@pytest.mark.parametrize("engine", ENGINES.values(), ids=lambda engine: engine.name)
def test_images_are_fully_qualified_and_never_latest(engine: Engine) -> None:
    for image in engine.images.values():
        assert re.fullmatch(r"[a-z0-9.-]+\.[a-z]+/[a-z0-9./_-]+:[A-Za-z0-9._-]+", image)
        assert not image.endswith(":latest")
