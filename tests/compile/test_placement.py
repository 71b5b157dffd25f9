from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from modelgrid.compile.placement import GpuRequest, place
from modelgrid.host.facts import Gpu

GIB = 1024**3


def gpus(*sizes: int) -> tuple[Gpu, ...]:
    return tuple(
        Gpu(index=index, uuid=f"GPU-{index}", name="test", memory=size * GIB) for index, size in enumerate(sizes)
    )


def request(model: str, memory: int | None, count: int = 1, pins: tuple[str | int, ...] = ()) -> GpuRequest:
    return GpuRequest(model=model, count=len(pins) or count, pins=pins, memory=None if memory is None else memory * GIB)


@st.composite
def cases(draw: st.DrawFn) -> tuple[list[GpuRequest], tuple[Gpu, ...]]:
    host = gpus(*draw(st.lists(st.integers(1, 80), min_size=1, max_size=4)))
    requests = [
        request(f"m{number}", draw(st.one_of(st.none(), st.integers(1, 100))), draw(st.integers(1, 4)))
        for number in range(draw(st.integers(0, 8)))
    ]
    return requests, host


@given(cases())
def test_no_accepted_placement_overcommits_a_gpu(case: tuple[list[GpuRequest], tuple[Gpu, ...]]) -> None:
    requests, host = case
    placement = place(requests, host)
    held: Counter[str] = Counter()
    for request_ in requests:
        claims = placement.claims.get(request_.model, ())
        if claims:
            assert len({claim.uuid for claim in claims}) == request_.count
            assert sum(claim.memory for claim in claims) >= (request_.memory or 0)
        held.update({claim.uuid: claim.memory for claim in claims})
    assert all(held[gpu.uuid] <= gpu.memory for gpu in host)
    assert {fault.model for fault in placement.faults} == {item.model for item in requests} - set(placement.claims)


@given(cases())
def test_placement_does_not_depend_on_the_order_of_the_models(
    case: tuple[list[GpuRequest], tuple[Gpu, ...]],
) -> None:
    requests, host = case
    assert place(requests, host) == place(list(reversed(requests)), host)


def test_a_pin_by_index_or_uuid_is_kept() -> None:
    placement = place([request("a", 8, pins=(1,)), request("b", 8, pins=("GPU-0",))], gpus(24, 24))
    assert placement.claims["a"][0].uuid == "GPU-1"
    assert placement.claims["b"][0].uuid == "GPU-0"


def test_pins_come_before_free_models() -> None:
    placement = place([request("free", 20), request("pinned", 10, pins=(0,))], gpus(24, 24))
    assert not placement.faults
    assert placement.claims["free"][0].uuid == "GPU-1"


def test_models_of_unknown_size_spread_over_the_gpus() -> None:
    placement = place([request(name, None) for name in "abcd"], gpus(48, 48))
    used = {name: claims[0].uuid for name, claims in placement.claims.items()}
    assert used == {"a": "GPU-0", "b": "GPU-1", "c": "GPU-0", "d": "GPU-1"}


def test_a_model_of_unknown_size_goes_where_most_is_left() -> None:
    placement = place([request("known", 8), request("a", None), request("b", None)], gpus(48, 48))
    assert [placement.claims[name][0].uuid for name in ("known", "a", "b")] == ["GPU-0", "GPU-1", "GPU-1"]


def test_what_does_not_fit_is_named_with_numbers() -> None:
    (fault,) = place([request("big", 30), request("small", 20)], gpus(40)).faults
    assert fault.message == "small needs 20GiB and does not fit: GPU 0 has 40GiB, taken by big 30GiB"


def test_an_unknown_gpu_names_those_that_are_there() -> None:
    (fault,) = place([request("a", 1, pins=("GPU-9",))], gpus(24)).faults
    assert fault.unknown_gpu
    assert fault.message == "the host has no GPU 'GPU-9'; it has: 0 (GPU-0)"


def test_more_gpus_than_the_host_has_is_a_fault() -> None:
    (fault,) = place([request("a", None, count=2)], gpus(24)).faults
    assert fault.message == "a asks for 2 GPUs and the host has 1"
