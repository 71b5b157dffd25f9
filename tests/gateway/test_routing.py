from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelgrid.gateway.routing import ALL_MODELS, RoutingTable
from modelgrid.manifest import ManifestError, Route
from tests.gateway.conftest import UNHURRIED, manifest, route

TABLE = RoutingTable(
    manifest(
        route("llama3:8b", 1, aliases=("gpt-4o", "qwen-like")),
        route("Llama-big", 1),
        route("Qwen/Qwen2.5-7B", 1, apis=("/v1/rerank",)),
    )
)


@pytest.mark.parametrize(
    ("name", "model"),
    [("llama3:8b", "llama3:8b"), ("gpt-4o", "llama3:8b"), ("Qwen/Qwen2.5-7B", "Qwen/Qwen2.5-7B")],
)
def test_names_and_aliases_lead_to_a_model(name: str, model: str) -> None:
    found = TABLE.view(ALL_MODELS).find(name)

    assert found is not None
    assert found.model == model


@pytest.mark.parametrize("name", ["", "llama3", "LLAMA3:8B", "llama3:8b ", "*", "gpt-4o/"])
def test_a_name_is_matched_whole_and_exactly(name: str) -> None:
    assert TABLE.view(ALL_MODELS).find(name) is None


@pytest.mark.parametrize(
    ("patterns", "models"),
    [
        (("*",), ["Llama-big", "Qwen/Qwen2.5-7B", "llama3:8b"]),
        (("llama*",), ["llama3:8b"]),
        (("[lL]lama*",), ["Llama-big", "llama3:8b"]),
        (("Qwen/*", "llama3:8b"), ["Qwen/Qwen2.5-7B", "llama3:8b"]),
        (("gpt-4o", "qwen-*"), []),
        ((), []),
    ],
)
def test_patterns_are_those_of_models_not_of_aliases(patterns: tuple[str, ...], models: list[str]) -> None:
    assert [route.model for route in TABLE.view(patterns).routes] == models


def test_a_scope_covers_the_aliases_of_its_models_and_no_others() -> None:
    llamas = TABLE.view(("llama3*",))

    assert llamas.find("gpt-4o") is llamas.find("llama3:8b") is not None
    assert TABLE.view(("Qwen*",)).find("qwen-like") is None


def test_a_scope_shows_only_the_paths_of_its_models() -> None:
    assert TABLE.view(("llama*",)).apis == {"/v1/chat/completions"}
    assert TABLE.view(("Qwen*",)).apis == {"/v1/rerank"}


@UNHURRIED
@given(st.lists(st.text("*?[]!abl3:", max_size=8), max_size=3))
def test_no_pattern_lets_through_more_than_there_is(patterns: list[str]) -> None:
    view = TABLE.view(tuple(patterns))

    assert set(view.routes) <= set(TABLE.manifest.routes)
    assert all(view.find(route.model) is route for route in view.routes)


@pytest.mark.parametrize(
    "routes",
    [
        [route("a", 1), route("a", 1)],
        [route("a", 1), route("b", 1, aliases=("a",))],
        [route("a", 1, aliases=("c",)), route("b", 1, aliases=("c",))],
        [route("a", 1, aliases=("a",))],
    ],
    ids=["two routes", "alias of a model", "alias twice", "alias of itself"],
)
def test_a_manifest_that_means_two_things_is_refused(routes: list[Route]) -> None:
    with pytest.raises(ManifestError):
        RoutingTable(manifest(*routes))
