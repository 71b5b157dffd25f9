"""Facts of placement, one by one; that it is right at all is in test_placement_proof.py."""

from __future__ import annotations

from dataclasses import replace

import pytest

from modelgrid.compile.placement import FaultKind, GpuRequest, Placement, Resident, Strategy, place
from modelgrid.host.facts import Gpu, Vendor
from tests.compile.placements import GIB, always, gpus, on_demand, sharing, where

MIXED = (
    Gpu(index=0, uuid="GPU-0", name="MI300X", memory=192 * GIB, vendor=Vendor.AMD),
    Gpu(index=1, uuid="GPU-1", name="H100", memory=80 * GIB),
    Gpu(index=2, uuid="GPU-2", name="H100", memory=80 * GIB),
    Gpu(index=3, uuid="GPU-3", name="L4", memory=24 * GIB),
)


def fault(placement: Placement) -> tuple[FaultKind, str]:
    (found,) = placement.faults
    return found.kind, found.message


# pins, number and kind of GPUs


def test_a_pin_by_index_or_uuid_is_kept() -> None:
    placement = place([always("a", 8, pins=(1,)), always("b", 8, pins=("GPU-0",))], gpus(24, 24))
    assert where(placement) == {"a": ("GPU-1",), "b": ("GPU-0",)}


def test_pins_come_before_free_models() -> None:
    placement = place([always("free", 20), always("pinned", 10, pins=(0,))], gpus(24, 24))
    assert where(placement) == {"pinned": ("GPU-0",), "free": ("GPU-1",)}


def test_an_unknown_gpu_names_those_that_are_there() -> None:
    assert fault(place([always("a", 1, pins=("GPU-9",))], gpus(24))) == (
        FaultKind.UNKNOWN_GPU,
        "the host has no GPU 'GPU-9'; it has: 0 (GPU-0)",
    )


def test_one_gpu_under_two_names_is_a_fault() -> None:
    assert fault(place([always("a", 1, pins=("GPU-0", 0))], gpus(24)))[1] == "one GPU is named twice"


def test_more_gpus_than_the_host_has_is_a_fault() -> None:
    assert fault(place([always("a", None, count=2)], gpus(24)))[1] == "a asks for 2 GPUs and the host has 1"


def test_a_model_is_not_split_over_gpus_that_differ() -> None:
    assert fault(place([always("a", 30, count=3)], MIXED)) == (
        FaultKind.UNEQUAL,
        (
            "a asks for 3 GPUs, which must be equal, and the host has 1 of MI300X (amd, 192GiB),"
            " 2 of H100 (nvidia, 80GiB), 1 of L4 (nvidia, 24GiB)"
        ),
    )


def test_pins_to_gpus_that_differ_are_a_fault() -> None:
    assert fault(place([always("a", 30, pins=(2, 3))], MIXED)) == (
        FaultKind.UNEQUAL,
        "a is split evenly over GPUs that are not equal: GPU 2 is H100 (nvidia, 80GiB), GPU 3 is L4 (nvidia, 24GiB)",
    )


def test_on_a_mixed_host_a_split_model_goes_to_the_equal_gpus() -> None:
    for strategy in Strategy:
        placement = place([always("a", 150, count=2)], MIXED, strategy=strategy)
        assert where(placement) == {"a": ("GPU-1", "GPU-2")}


def test_a_model_goes_to_gpus_of_the_vendors_that_its_engine_runs_on() -> None:
    amd = replace(always("a", 20), vendors=frozenset({Vendor.AMD}))
    nvidia = replace(always("n", 100), vendors=frozenset({Vendor.NVIDIA}))
    placement = place([amd, nvidia], MIXED)
    assert where(placement) == {"a": ("GPU-0",)}
    assert fault(placement) == (
        FaultKind.NO_ROOM,
        "n needs 100GiB and does not fit: GPU 1 has 80GiB; GPU 2 has 80GiB; GPU 3 has 24GiB",
    )
    intel = replace(always("i", 1), vendors=frozenset({Vendor.INTEL}))
    assert fault(place([intel], MIXED))[1] == (
        "i asks for 1 GPU of intel, which its engine runs on, and the host has 0"
    )
    pinned = replace(always("p", 1, pins=(0,)), vendors=frozenset({Vendor.NVIDIA}))
    assert fault(place([pinned], MIXED))[1] == "p is pinned to GPU 0 of amd, and its engine runs on nvidia"


# strategies


def test_binpack_leaves_gpus_unused_and_spread_leaves_room_on_each() -> None:
    models = [always(name, 10) for name in "abcd"]
    used = {strategy: place(models, gpus(48, 48, 48, 48), strategy=strategy).gpus for strategy in Strategy}
    assert [use.always // GIB for use in used[Strategy.BINPACK]] == [40, 0, 0, 0]
    assert [use.always // GIB for use in used[Strategy.SPREAD]] == [10, 10, 10, 10]


def test_binpack_takes_the_gpu_where_least_is_left() -> None:
    placement = place([always("a", 20)], gpus(80, 24, 48), strategy=Strategy.BINPACK)
    assert where(placement)["a"] == ("GPU-1",)


def test_spread_takes_the_gpu_where_most_is_left() -> None:
    placement = place([always("a", 20)], gpus(24, 80, 48), strategy=Strategy.SPREAD)
    assert where(placement)["a"] == ("GPU-1",)


@pytest.mark.parametrize("strategy", Strategy)
def test_both_strategies_find_the_arrangement_that_one_after_the_other_misses(strategy: Strategy) -> None:
    sizes = dict(zip("abcdef", (10, 8, 8, 6, 4, 4), strict=True))  # 10+6+4 and 8+8+4
    placement = place([always(name, size) for name, size in sizes.items()], gpus(20, 20), strategy=strategy)
    assert not placement.faults
    assert [use.always for use in placement.gpus] == [20 * GIB, 20 * GIB]


@pytest.mark.parametrize("strategy", Strategy)
def test_always_loaded_models_make_room_for_an_on_demand_one(strategy: Strategy) -> None:
    models = [always("a", 5), always("b", 5), on_demand("large", 20)]
    placement = place(models, gpus(24, 24), strategy=strategy)
    assert not placement.faults
    assert where(placement)["a"] == where(placement)["b"] != where(placement)["large"]


def test_a_model_that_is_added_moves_none_that_is_larger() -> None:
    models = [always("a", 20), always("b", 14), always("c", 9), on_demand("d", 8)]
    for strategy in Strategy:
        before = where(place(models, gpus(40, 40, 40), strategy=strategy))
        after = where(place([*models, always("z", 6), on_demand("y", 4)], gpus(40, 40, 40), strategy=strategy))
        assert {name: after[name] for name in "abc"} == {name: before[name] for name in "abc"}


def test_models_of_unknown_size_spread_over_the_gpus() -> None:
    placement = place([always(name, None) for name in "abcd"], gpus(48, 48))
    assert where(placement) == {"a": ("GPU-0",), "b": ("GPU-1",), "c": ("GPU-0",), "d": ("GPU-1",)}


def test_a_model_of_unknown_size_goes_where_most_is_left() -> None:
    models = [always("known", 8), on_demand("later", 20), always("a", None)]
    assert where(place(models, gpus(48, 48, 40), strategy=Strategy.BINPACK)) == {
        "known": ("GPU-2",),
        "later": ("GPU-2",),
        "a": ("GPU-0",),
    }
    assert where(place(models, gpus(48, 48, 40), strategy=Strategy.SPREAD)) == {
        "known": ("GPU-0",),
        "later": ("GPU-1",),
        "a": ("GPU-2",),
    }


def test_the_reserve_is_kept_free_on_each_gpu() -> None:
    assert not place([always("a", 24)], gpus(24)).faults
    assert fault(place([always("a", 24)], gpus(24), reserve=GIB))[1] == (
        "a needs 24GiB and does not fit: GPU 0 has 24GiB, 23GiB left"
    )


# on-demand models


def test_on_demand_models_that_fit_together_have_no_conflict() -> None:
    placement = place([always("a", 10), on_demand("b", 7), on_demand("c", 7)], gpus(24))
    assert placement.conflicts == ()


def test_the_smallest_on_demand_models_stay_free_and_the_others_alternate() -> None:
    models = [always("a", 4), on_demand("s", 2), on_demand("t", 2), on_demand("l", 14), on_demand("m", 12)]
    placement = place(models, gpus(24))
    assert placement.conflicts == (("l", "m"),)
    assert placement.gpus[0].peak == (4 + 2 + 2 + 14) * GIB
    assert placement.gpus[0].free == 2 * GIB


def test_on_demand_models_avoid_conflicts_while_a_gpu_has_room() -> None:
    for strategy in Strategy:
        placement = place([on_demand(name, 16) for name in "ab"], gpus(24, 24), strategy=strategy)
        assert placement.conflicts == ()


def test_a_model_on_two_gpus_conflicts_with_what_alternates_on_either() -> None:
    models = [on_demand("both", 40, pins=(0, 1)), on_demand("x", 15, pins=(0,)), on_demand("y", 15, pins=(1,))]
    placement = place(models, gpus(24, 24))
    assert placement.conflicts == (("both", "x"), ("both", "y"))
    assert placement.conflict_pairs() == (("both", "x"), ("both", "y"))


# shares


def test_a_share_is_rounded_up_so_that_the_engine_gets_its_claim() -> None:
    placement = place([sharing("a", 16)], gpus(24))
    assert placement.shares == {"a": 67}
    assert placement.claims["a"][0].memory == 16 * GIB
    assert placement.gpus[0].rows[0].memory == -(-24 * GIB * 67 // 100)


def test_shares_on_one_gpu_sum_to_at_most_one() -> None:
    models = [sharing(name, 8) for name in "abc"]  # a third each: 0.34
    assert fault(place(models, gpus(24)))[0] is FaultKind.NO_ROOM
    assert not place([always(name, 8) for name in "abc"], gpus(24)).faults


def test_what_an_engine_fills_beyond_its_claim_counts() -> None:
    assert fault(place([sharing("a", 16), always("b", 8)], gpus(24)))[0] is FaultKind.NO_ROOM


def test_engines_with_shares_on_one_gpu_are_chained_and_on_demand_ones_last() -> None:
    later = [sharing(name, 2, resident=Resident.ON_DEMAND) for name in ("a", "b")]
    placement = place([*later, sharing("y", 4), sharing("z", 4), always("other", 4)], gpus(24))
    assert placement.starts_after == {"z": ("y",), "a": ("z",), "b": ("a", "z")}


def test_engines_with_shares_on_different_gpus_start_at_once() -> None:
    placement = place([sharing("y", 20), sharing("z", 20)], gpus(24, 24))
    assert placement.starts_after == {}


def test_engines_that_alternate_follow_the_same_engine() -> None:
    later = [sharing(name, 16, resident=Resident.ON_DEMAND) for name in ("a", "b", "c")]
    placement = place([*later, sharing("z", 4)], gpus(24))
    assert placement.conflicts == (("a", "b", "c"),)
    assert placement.starts_after == {"a": ("z",), "b": ("z",), "c": ("z",)}


def test_an_engine_follows_all_that_alternate_before_it() -> None:
    """``p`` and ``q`` alternate on GPU 0; ``w`` is small there and alternates with ``v`` on GPU 1."""
    demand = Resident.ON_DEMAND
    models = [
        GpuRequest(model="p", count=1, pins=(0,), memory=80, shares=True, resident=demand),
        GpuRequest(model="q", count=1, pins=(0,), memory=80, shares=True, resident=demand),
        GpuRequest(model="w", count=2, pins=(0, 1), memory=40, shares=True, resident=demand),
        GpuRequest(model="v", count=1, pins=(1,), memory=90, shares=True, resident=demand),
    ]
    host = tuple(Gpu(index=index, uuid=f"GPU-{index}", name="test", memory=100) for index in range(2))
    placement = place(models, host)
    assert placement.conflicts == (("p", "q"), ("v", "w"))
    assert placement.starts_after == {"w": ("p", "q")}


# faults


def test_what_does_not_fit_is_named_with_numbers() -> None:
    placement = place([always("big", 30), always("small", 20)], gpus(40))
    assert fault(placement) == (
        FaultKind.NO_ROOM,
        "small needs 20GiB and does not fit: GPU 0 has 40GiB, taken by big 30GiB, 10GiB left",
    )
    assert placement.faults[0].together == ("big", "small")


def test_an_estimate_and_an_on_demand_model_are_named_as_such() -> None:
    models = [on_demand("held", 30, pins=(0,)), replace(always("big", 20), estimated=True)]
    assert fault(place(models, gpus(40)))[1] == (
        "big needs 20GiB (estimated) and does not fit: GPU 0 has 40GiB, taken by held 30GiB (on-demand), 10GiB left"
    )


def test_a_split_model_names_what_it_needs_of_each_gpu() -> None:
    models = [always("a", 30, pins=(0,)), always("wide", 40, count=2)]
    assert fault(place(models, gpus(40, 40)))[1] == (
        "wide needs 20GiB on each of 2 equal GPUs and does not fit:"
        " GPU 0 has 40GiB, taken by a 30GiB, 10GiB left; GPU 1 has 40GiB"
    )


def test_of_many_models_only_those_are_named_that_cannot_be_together() -> None:
    models = [always("a", 30, pins=(0,)), always("b", 21), always("c", 21), *(always(f"s{n}", 1) for n in range(6))]
    (found,) = place(models, gpus(40, 40)).faults
    assert found.model == "c"
    assert found.together == ("a", "b", "c")


def test_a_long_list_is_cut() -> None:
    models = [always(f"m{number:02}", 30) for number in range(13)]
    (found,) = place(models, gpus(*[40] * 12)).faults
    assert found.model == "m12"
    assert "GPU 7 has 40GiB, taken by m07 30GiB, 10GiB left; and 4 more GPUs" in found.message
    assert found.message.endswith(
        "; no arrangement holds m11, m10, m09, m08, m07, m06, m05, 5 more models and m12 together"
    )
    many = [always(f"s{number}", 1) for number in range(9)]
    assert ", taken by s0 1GiB, s1 1GiB, s2 1GiB, s3 1GiB and 4 more models, 0B left" in fault(place(many, gpus(8)))[1]


def test_a_search_that_ends_early_says_so_and_refuses_nothing_as_proven() -> None:
    sizes = dict(zip("abcdef", (10, 8, 8, 6, 4, 4), strict=True))
    models = [always(name, size) for name, size in sizes.items()]
    placement = place(models, gpus(20, 20), budget=2)
    assert fault(placement) == (
        FaultKind.UNDECIDED,
        (
            "f needs 4GiB, and no place for it was found, nor proof that there is none: GPU 0 has 20GiB, taken by"
            " a 10GiB, b 8GiB, 2GiB left; GPU 1 has 20GiB, taken by c 8GiB, d 6GiB, e 4GiB, 2GiB left"
        ),
    )
    assert set(placement.claims) == set("abcde")
    assert not place(models, gpus(20, 20)).faults


def test_a_sum_that_is_too_large_is_proven_without_a_search() -> None:
    assert fault(place([always("a", 6), always("b", 6)], gpus(10), budget=0))[0] is FaultKind.NO_ROOM


def test_parts_that_leave_gaps_too_small_for_another_are_proven_without_a_search() -> None:
    models = [always(name, 21) for name in "abc"]  # 63 of 80, and one on each
    assert fault(place(models, gpus(40, 40), budget=0))[0] is FaultKind.NO_ROOM


def test_a_host_without_gpus_has_no_table() -> None:
    assert place([], ()).gpus == ()
