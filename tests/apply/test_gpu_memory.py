"""What GPUs hold before and after, by the records of both trees."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from modelgrid.apply.planning.gpu_memory import Held, held, memory_changes
from modelgrid.compile.placement import GpuRequest, place
from modelgrid.compile.placement.wants import Resident
from modelgrid.emit.artifact import Artifact
from modelgrid.host.facts import Gpu
from modelgrid.placement_record import PLACEMENT, RecordedServer
from tests.apply.configs import GIB, compiled

if TYPE_CHECKING:
    from pathlib import Path

BASE = """\
version: 1
models:
  chat: {engine: llamacpp, source: /srv/chat.gguf, vram: 8GiB, gpus: [0]}
  tool: {engine: llamacpp, source: /srv/tool.gguf, vram: 2GiB, gpus: [0]}
"""


def test_each_gpu_has_what_it_holds_before_and_after(tmp_path: Path) -> None:
    before = compiled(BASE, tmp_path).tree
    after = compiled(BASE.replace("8GiB", "16GiB").replace("2GiB, gpus: [0]", "2GiB, gpus: [1]"), tmp_path).tree
    first, second = memory_changes(after, before)

    assert (first.gpu.uuid, first.before.start, first.after.start) == ("GPU-0", 10 * GIB, 16 * GIB)
    assert [(server.models, server.before, server.after) for server in first.servers] == [
        (("chat",), 8 * GIB, 16 * GIB),
        (("tool",), 2 * GIB, None),
    ]
    assert (second.gpu.uuid, second.before, second.after) == ("GPU-1", Held(), Held(start=2 * GIB, peak=2 * GIB))
    assert first.to_dict()["after"] == {"start": 16 * GIB, "peak": 16 * GIB}


def test_before_the_first_apply_nothing_is_held(tmp_path: Path) -> None:
    tree = compiled(BASE, tmp_path).tree

    assert {change.before for change in memory_changes(tree, None)} == {Held()}
    damaged = [Artifact(path=PLACEMENT, content="{}")]
    assert {change.before for change in memory_changes(tree, damaged)} == {Held()}


requests = st.lists(
    st.tuples(st.integers(1, 20), st.sampled_from(Resident), st.integers(1, 2)), min_size=1, max_size=6
).map(
    lambda found: [
        GpuRequest(model=f"m{number}", count=count, memory=size * GIB, resident=resident)
        for number, (size, resident, count) in enumerate(found)
    ]
)


@settings(deadline=None)
@given(requests)
def test_start_and_peak_are_those_that_placement_proved(asked: list[GpuRequest]) -> None:
    gpus = [Gpu(index=index, uuid=f"GPU-{index}", name="L4", memory=24 * GIB) for index in range(2)]
    placement = place(asked, gpus)
    servers = [
        RecordedServer(
            unit=request.model,
            models=(request.model,),
            claims={claim.uuid: claim.held for claim in placement.claims[request.model]},
            on_demand=not request.always,
            turns_with=tuple(sorted(placement.conflicting(request.model))),
        )
        for request in asked
        if request.model in placement.claims
    ]
    for use in placement.gpus:
        found = held(servers, use.gpu.uuid)
        assert found.start == use.always
        # two that take turns on another GPU do so here as well, so it may be less
        assert use.always <= found.peak <= use.peak
