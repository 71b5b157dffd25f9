"""Between the old manifest and the new one, every model that both have is served or waits, at every stage."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from modelgrid.apply.handover.liveroutes import Stage, live_manifest
from modelgrid.gateway.routing import RoutingTable
from modelgrid.manifest import Manifest, Route, Upstream


def route(model: str, *ports: int, upstream_model: str = "", fallback: tuple[str, ...] = ()) -> Route:
    return Route(
        model=model,
        aliases=(),
        engine="llamacpp",
        upstream_model=upstream_model or model,
        apis=("/v1/chat/completions",),
        upstreams=tuple(Upstream(host="10.0.0.1", port=port) for port in ports),
        health_path="/health",
        fallback=fallback,
    )


def manifest(*routes: Route) -> Manifest:
    return Manifest(max_body=1000, hold_time=60.0, hold_requests=10, routes=routes)


def at(*ports: int) -> frozenset[str]:
    return frozenset(f"10.0.0.1:{port}" for port in ports)


def ports(found: Manifest) -> dict[str, list[int]]:
    return {item.model: [upstream.port for upstream in item.upstreams] for item in found.routes}


OLD = manifest(route("a", 1, upstream_model="old"), route("gone", 9))
NEW = manifest(route("a", 1, upstream_model="new"), route("more", 2, fallback=("a",)))


def test_before_anything_happens_the_old_servers_answer_and_new_models_are_not_there() -> None:
    found = live_manifest(OLD, NEW, Stage(changing=at(1, 2, 9)))
    assert ports(found) == {"a": [1]}
    assert found.routes[0].upstream_model == "old"


def test_a_server_that_is_away_has_its_requests_wait() -> None:
    assert ports(live_manifest(OLD, NEW, Stage(changing=at(1, 2), away=at(1)))) == {"a": []}


def test_a_stand_in_answers_by_the_new_configuration() -> None:
    found = live_manifest(OLD, NEW, Stage(changing=at(1, 2), instead={"10.0.0.1:1": "10.0.0.3:7"}))
    assert found.routes[0].upstreams == (Upstream(host="10.0.0.3", port=7),)
    assert found.routes[0].upstream_model == "new"


def test_at_the_end_it_is_the_new_manifest() -> None:
    assert live_manifest(OLD, NEW, Stage(changing=at(1, 2), renewed=at(1, 2))) == NEW


def test_a_replica_that_is_away_leaves_the_others() -> None:
    both = manifest(route("a", 1, 2))
    assert ports(live_manifest(both, both, Stage(changing=at(1, 2), away=at(1)))) == {"a": [2]}
    assert ports(live_manifest(both, both, Stage(changing=at(1, 2), renewed=at(1), away=at(2)))) == {"a": [1]}


def test_a_fallback_to_a_model_that_is_not_there_yet_is_left_out() -> None:
    new = manifest(route("a", 1, fallback=("more",)), route("more", 2))
    assert live_manifest(OLD, new, Stage(changing=at(2))).routes[0].fallback == ()


models = st.sampled_from(["a", "b", "c", "d"])
manifests = st.dictionaries(models, st.sets(st.integers(1, 6), min_size=1, max_size=3), max_size=4).map(
    lambda found: manifest(*(route(name, *sorted(found[name])) for name in sorted(found)))
)
addresses = st.frozensets(st.integers(1, 6).map(lambda port: f"10.0.0.1:{port}"))


@given(manifests, manifests, addresses, addresses, addresses)
def test_at_every_stage_what_both_have_is_there_and_nobody_away_is_asked(
    old: Manifest, new: Manifest, changing: frozenset[str], renewed: frozenset[str], away: frozenset[str]
) -> None:
    stage = Stage(changing=changing | renewed | away, renewed=renewed - away, away=away)
    found = live_manifest(old, new, stage)
    names = {item.model for item in found.routes}
    assert names >= {item.model for item in old.routes} & {item.model for item in new.routes}
    assert names <= {item.model for item in new.routes}
    assert not {f"{item.host}:{item.port}" for each in found.routes for item in each.upstreams} & away
    RoutingTable(manifest(*(item for item in found.routes if item.upstreams)))
