"""Placement against its meaning, by brute force over small cases and by arithmetic over large ones."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from graphlib import TopologicalSorter
from itertools import combinations
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelgrid.compile.placement import FaultKind, GpuRequest, Placement, Resident, Strategy, place
from modelgrid.host.facts import Gpu
from tests.compile.placements import cases, full_cases, placeable, possible, resident_sets, share, taken, together

if TYPE_CHECKING:
    from random import Random

Case = tuple[list[GpuRequest], tuple[Gpu, ...]]
strategies = st.sampled_from(Strategy)
reserves = st.sampled_from((0, 0, 1))
slow = settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)


def models_on(gpu: Gpu, requests: list[GpuRequest], placement: Placement) -> list[GpuRequest]:
    return [r for r in requests if any(claim.uuid == gpu.uuid for claim in placement.claims.get(r.model, ()))]


@given(cases(), strategies, reserves)
def test_whatever_is_resident_together_fits(case: Case, strategy: Strategy, reserve: int) -> None:
    requests, host = case
    placement = place(requests, host, strategy=strategy, reserve=reserve)
    for resident in resident_sets(requests, placement):
        for gpu in host:
            assert together(models_on(gpu, resident, placement), gpu, reserve)


@given(cases(), strategies, reserves)
@slow
def test_brute_force_finds_no_place_for_what_was_refused(case: Case, strategy: Strategy, reserve: int) -> None:
    assert_refusals_are_right(*case, strategy, reserve)


@given(full_cases(), strategies, st.integers(0, 6), st.integers(0, 2))
@slow
def test_brute_force_finds_no_place_for_what_was_refused_on_full_gpus(
    case: Case, strategy: Strategy, number: int, more: int
) -> None:
    requests, host = case
    requests = [
        replace(request, memory=(request.memory or 0) + more * request.count) if index == number else request
        for index, request in enumerate(requests)
    ]
    assert_refusals_are_right(requests, host, strategy, 0)


@given(full_cases(most=4, models=12), strategies)
@slow
def test_gpus_are_filled_to_the_last_byte_where_they_can_be(case: Case, strategy: Strategy) -> None:
    requests, host = case
    assert place(requests, host, strategy=strategy).faults == ()


def assert_refusals_are_right(
    requests: list[GpuRequest], host: tuple[Gpu, ...], strategy: Strategy, reserve: int
) -> None:
    placement = place(requests, host, strategy=strategy, reserve=reserve)
    by_name = {request.model: request for request in requests}
    accepted = [request for request in requests if request.model in placement.claims]
    assert set(placement.claims) | {fault.model for fault in placement.faults} == set(by_name)
    assert len(placement.claims) + len(placement.faults) == len(requests)
    assert placeable(accepted, host, reserve)
    for fault in placement.faults:
        request = by_name[fault.model]
        if fault.kind is FaultKind.NO_ROOM:
            assert possible(request, host)
            assert not placeable([*accepted, request], host, reserve)
        else:
            assert fault.kind in {FaultKind.UNKNOWN_GPU, FaultKind.UNEQUAL}
            assert not possible(request, host)


@given(st.one_of(cases(), full_cases()), strategies, reserves)
@slow
def test_a_refusal_names_models_that_cannot_be_together_and_none_in_vain(
    case: Case, strategy: Strategy, reserve: int
) -> None:
    requests, host = case
    placement = place(requests, host, strategy=strategy, reserve=reserve)
    by_name = {request.model: request for request in requests}
    for fault in placement.faults:
        if fault.kind is FaultKind.NO_ROOM:
            assert fault.together[-1] == fault.model
            core = [by_name[name] for name in fault.together]
            assert not placeable(core, host, reserve)
            for some in combinations(core, len(core) - 1):
                assert placeable(some, host, reserve)


@given(cases(), strategies)
def test_claims_are_whole_and_on_equal_gpus_as_asked(case: Case, strategy: Strategy) -> None:
    requests, host = case
    placement = place(requests, host, strategy=strategy)
    by_uuid = {gpu.uuid: gpu for gpu in host}
    for request in requests:
        claims = placement.claims.get(request.model)
        if claims is None:
            continue
        assert tuple(by_uuid[claim.uuid] for claim in claims) in possible(request, host)
        assert sum(claim.memory for claim in claims) >= (request.memory or 0)
        assert sum(claim.memory for claim in claims) < (request.memory or 1) + request.count
        told = {share(request, by_uuid[claim.uuid]) * 100 for claim in claims}
        assert told == {placement.shares.get(request.model, 0)}


@given(cases(8), strategies, reserves)
def test_models_alternate_only_where_one_more_beside_the_others_is_too_much(
    case: Case, strategy: Strategy, reserve: int
) -> None:
    requests, host = case
    placement = place(requests, host, strategy=strategy, reserve=reserve)
    for gpu, use in zip(host, placement.gpus, strict=True):
        alternating = {row.model for row in use.rows if row.alternates}
        on = models_on(gpu, requests, placement)
        alternates = sorted((r for r in on if r.model in alternating), key=lambda r: taken(r, gpu))
        free = [r for r in on if r.model not in alternating]
        if alternates:
            assert len(alternates) > 1
            assert tuple(sorted(alternating)) in placement.conflicts
            assert not together([*free, alternates[0], alternates[-1]], gpu, reserve)
            assert all(taken(r, gpu) <= taken(alternates[0], gpu) for r in free if not r.always)
    assert {name for group in placement.conflicts for name in group} == {
        row.model for use in placement.gpus for row in use.rows if row.alternates
    }


@given(cases(8), strategies, reserves)
def test_the_table_shows_the_most_that_is_resident(case: Case, strategy: Strategy, reserve: int) -> None:
    requests, host = case
    single = [r for r in requests if r.count == 1]  # conflicts on one GPU cannot spare another
    placement = place(single, host, strategy=strategy, reserve=reserve)
    sets = list(resident_sets(single, placement))
    for gpu, use in zip(host, placement.gpus, strict=True):
        on = [models_on(gpu, some, placement) for some in sets]
        assert use.gpu == gpu
        assert use.peak == max(sum(taken(r, gpu) for r in some) for some in on)
        assert use.share == max(sum(share(r, gpu) for r in some) for some in on) * 100
        assert use.always == sum(taken(r, gpu) for r in on[0])
        assert use.free == gpu.memory - reserve - use.peak
        assert [row.model for row in use.rows if row.resident is Resident.ALWAYS] == [
            row.model for row in use.rows[: len(on[0])]
        ]


@given(cases(8), strategies, st.randoms(use_true_random=False))
def test_neither_the_order_of_the_models_nor_of_the_gpus_matters(
    case: Case, strategy: Strategy, random: Random
) -> None:
    requests, host = case
    shuffled, mixed = list(requests), list(host)
    random.shuffle(shuffled)
    random.shuffle(mixed)
    assert place(requests, host, strategy=strategy) == place(shuffled, mixed, strategy=strategy)


@given(cases(8), strategies)
def test_engines_with_shares_that_start_together_on_a_gpu_start_one_after_the_other(
    case: Case, strategy: Strategy
) -> None:
    requests, host = case
    placement = place(requests, host, strategy=strategy)
    order = list(TopologicalSorter(placement.starts_after).static_order())  # raises where there is a cycle
    by_name = {r.model: r for r in requests}
    assert all(by_name[name].shares for name in order)
    for use in placement.gpus:
        engines = [row for row in use.rows if by_name[row.model].shares]
        free = {row.model for row in engines if not row.alternates}
        for alternate in [{row.model} for row in engines if row.alternates] or [set[str]()]:
            started = free | alternate
            after: dict[str, set[str]] = defaultdict(set)  # with all that these start after, among those that start
            for name in order:
                for other in started.intersection(placement.starts_after.get(name, ())):
                    after[name] |= {other} | after[other]
            for one, other in combinations(started, 2):
                assert one in after[other] or other in after[one]


@st.composite
def large_cases(draw: st.DrawFn) -> Case:
    host = tuple(
        Gpu(index=index, uuid=f"GPU-{index}", name="test", memory=draw(st.sampled_from((40, 80))))
        for index in range(draw(st.integers(1, 8)))
    )
    sizes = st.one_of(st.none(), st.integers(1, 30), st.integers(1, 90))
    requests = [
        GpuRequest(
            model=f"m{number:02}",
            count=draw(st.sampled_from((1, 1, 1, 2, 4))),
            memory=draw(sizes),
            resident=draw(st.sampled_from(Resident)),
            shares=draw(st.booleans()),
        )
        for number in range(draw(st.integers(10, 40)))
    ]
    return requests, host


@given(large_cases(), strategies)
@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_large_placements_do_not_overcommit(case: Case, strategy: Strategy) -> None:
    requests, host = case
    placement = place(requests, host, strategy=strategy, budget=2000)
    conflicts = set(placement.conflict_pairs())
    for gpu, use in zip(host, placement.gpus, strict=True):
        alternating = sorted(row.model for row in use.rows if row.alternates)
        assert set(combinations(alternating, 2)) <= conflicts
        on = models_on(gpu, requests, placement)
        free = [r for r in on if r.model not in alternating]
        for one in [[], *([r] for r in on if r.model in alternating)]:
            assert together([*free, *one], gpu, 0)
