"""Why a unit is touched: the settings behind it, with their lines; of the gateway, its routes and keys."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from modelgrid.apply.planning.because import Because, explain
from modelgrid.apply.planning.plan import Change
from modelgrid.apply.planning.planner import make_plan
from modelgrid.apply.planning.units import units_of
from modelgrid.diagnostics import parse_path
from tests.apply.configs import Compiled, compiled
from tests.apply.test_planner import UP
from tests.apply.trees import GATEWAY, NETWORK

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

BASE = f"""\
version: 1
gateway:
  listen: 127.0.0.1:8080
  max_body: 64MiB
  keys:
    - {{name: team, sha256: {"5e" * 32}}}
engines:
  mine:
    extends: llamacpp
    env: {{MODE: fast}}
models:
  chat:
    engine: llamacpp
    source: /srv/models/chat.gguf
    context: 4096
    vram: 8GiB
    gpus: 1
    aliases: [gpt-4o]
    fallback: [tool]
  tool:
    engine: mine
    runtime: native
    source: /srv/models/tool.gguf
    resources: {{memory: 1GiB}}
"""

CHAT, TOOL = "modelgrid-model-chat.service", "modelgrid-model-tool.service"


def because(before: str, after: str, folder: Path) -> tuple[Mapping[str, Because], Compiled]:
    old, new = compiled(before, folder), compiled(after, folder)
    plan = make_plan(new.tree, old.tree, dict.fromkeys(units_of(old.tree), UP))
    return explain(plan, new.tree, old.tree), new


def causes(found: Because) -> list[tuple[str, Any, Any]]:
    return [(cause.path, cause.before, cause.after) for cause in found.causes]


@pytest.mark.parametrize(
    ("old", "new", "unit", "expected", "line"),
    [
        ("context: 4096", "context: 8192", CHAT, ("$.models.chat.context", 4096, 8192), "    context: 8192"),
        ("    context: 4096\n", "", CHAT, ("$.models.chat.context", 4096, None), None),
        (
            "context: 4096",
            "context: 4096\n    parallel: 2",
            CHAT,
            ("$.models.chat.parallel", None, 2),
            "    parallel: 2",
        ),
        (
            "chat.gguf",
            "other.gguf",
            CHAT,
            ("$.models.chat.source", "/srv/models/chat.gguf", "/srv/models/other.gguf"),
            None,
        ),
        ("fast", "slow", TOOL, ("$.engines.mine.env.MODE", "fast", "slow"), "    env: {MODE: slow}"),
        ("memory: 1GiB", "memory: 2GiB", TOOL, ("$.models.tool.resources.memory", "1GiB", "2GiB"), None),
        (
            "127.0.0.1:8080",
            "127.0.0.1:9090",
            GATEWAY,
            ("$.gateway.listen", "127.0.0.1:8080", "127.0.0.1:9090"),
            "  listen: 127.0.0.1:9090",
        ),
        ("64MiB", "32MiB", GATEWAY, ("$.gateway.max_body", "64MiB", "32MiB"), "  max_body: 32MiB"),
        (
            "models:\n",
            "network: {subnet: 10.9.0.0/16}\nmodels:\n",
            NETWORK,
            ("$.network.subnet", None, "10.9.0.0/16"),
            None,
        ),
    ],
)
def test_the_setting_that_changed_is_named_with_both_values_and_its_line(
    old: str, new: str, unit: str, expected: tuple[str, Any, Any], line: str | None, tmp_path: Path
) -> None:
    assert old in BASE
    found, after = because(BASE, BASE.replace(old, new, 1), tmp_path)

    assert causes(found[unit]) == [expected]
    assert [name for name in found if name != unit and found[name].causes != found[unit].causes] in ([], [GATEWAY])
    location = after.checked.document.locate(parse_path(expected[0]))
    assert location is not None
    assert line is None or location.excerpt == line


@pytest.mark.parametrize(
    ("old", "new", "said", "path"),
    [
        ("[gpt-4o]", "[gpt-4o, gpt-5]", "model chat can be asked for as gpt-5", "$.models.chat.aliases"),
        ("[gpt-4o]", "[]", "model chat can no longer be asked for as gpt-4o", "$.models.chat.aliases"),
        ("[tool]", "[]", "model chat falls back to none", "$.models.chat.fallback"),
        ("name: team,", "name: other,", "key other is new", "$.gateway.keys[0]"),
        ("name: team,", "name: other,", "key team is gone", ""),
        ("5e5e", "5f5e", "key team has another hash", "$.gateway.keys[0]"),
        ("name: team,", "name: team, models: [chat],", "key team may ask for chat", "$.gateway.keys[0]"),
    ],
)
def test_what_only_the_gateway_reads_is_told_as_its_clients_see_it(
    old: str, new: str, said: str, path: str, tmp_path: Path
) -> None:
    assert old in BASE
    found, _ = because(BASE, BASE.replace(old, new, 1), tmp_path)

    assert set(found) == {GATEWAY}
    assert (said, path) in [(item.text, item.path) for item in found[GATEWAY].news]


def test_what_comes_and_goes_is_named_as_a_whole(tmp_path: Path) -> None:
    found, _ = because(BASE, BASE.replace("  tool:\n", "  newer:\n").replace("[tool]", "[newer]"), tmp_path)

    assert [(c.path, c.change) for c in found["modelgrid-model-newer.service"].causes] == [
        ("$.models.newer", Change.ADD)
    ]
    assert [(c.path, c.change) for c in found[TOOL].causes] == [("$.models.tool", Change.REMOVE)]


def test_a_model_on_the_network_has_the_causes_of_the_network(tmp_path: Path) -> None:
    found, _ = because(BASE, BASE.replace("models:\n", "network: {subnet: 10.9.0.0/16}\nmodels:\n", 1), tmp_path)

    assert [path for path, _, _ in causes(found[CHAT])] == ["$.network.subnet"]


def test_a_tree_of_before_without_settings_has_no_causes_and_still_its_keys(tmp_path: Path) -> None:
    old, new = compiled(BASE, tmp_path), compiled(BASE.replace("4096", "8192"), tmp_path)
    bare = tuple(item for item in old.tree if item.path != "settings.json")
    plan = make_plan(new.tree, bare, dict.fromkeys(units_of(old.tree), UP))
    found = explain(plan, new.tree, bare)

    assert (found[CHAT].causes, found[CHAT].origin) == ((), "$.models.chat")
    assert [change.key for change in found[CHAT].keys] == [("Container", "Exec")]


def test_a_tree_that_was_read_back_knows_the_settings_of_its_model(tmp_path: Path) -> None:
    old, new = compiled(BASE, tmp_path), compiled(BASE.replace("4096", "8192"), tmp_path)
    read = tuple(replace(item, content="".join(item.content)) for item in new.tree)
    plan = make_plan(read, old.tree, dict.fromkeys(units_of(old.tree), UP))

    assert causes(explain(plan, read, old.tree)[CHAT]) == [("$.models.chat.context", 4096, 8192)]
