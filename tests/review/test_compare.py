from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelgrid import ir
from modelgrid.emit import emit
from modelgrid.emit.artifact import Artifact, TracedText
from modelgrid.review.compare import compare
from modelgrid.review.data import to_data
from modelgrid.review.markdown import code, to_markdown
from modelgrid.review.text import change_line, to_text
from modelgrid.review.values import Effect, KeyChange, Kind, UnitChange
from tests.emit import samples

BASE = samples.FULL


def nowhere(_origin: str) -> str:
    return ""


def changed(model: ir.ModelServer) -> ir.Deployment:
    others = [item for item in BASE.servers if item.name != model.name]
    return replace(BASE, servers=tuple(sorted([*others, model], key=lambda item: item.name)))


def units(before: ir.Deployment, after: ir.Deployment) -> dict[str, UnitChange]:
    return {unit.unit: unit for unit in compare(emit(before), emit(after)).units}


def container() -> ir.ModelServer:
    return next(model for model in BASE.servers if model.isolated)


def launch_of(model: ir.ModelServer) -> ir.Container:
    assert isinstance(model.launch, ir.Container)
    return model.launch


def test_the_same_tree_is_no_change() -> None:
    review = compare(emit(BASE), emit(BASE))

    assert review.empty
    assert review == compare(emit(BASE), tuple(reversed(emit(BASE))))
    assert "nothing changes" in to_text(review, title="t", place=nowhere)
    assert "Nothing changes." in to_markdown(review, title="t", place=nowhere)


def test_without_a_base_all_is_new() -> None:
    review = compare((), emit(BASE))

    assert {unit.kind for unit in review.units} == {Kind.ADDED}
    assert {route.name for route in review.routes} == {route.name for route in BASE.routes}
    assert review.images_added
    assert not review.images_removed


def test_a_changed_argument_restarts_that_model_and_nothing_else() -> None:
    model = container()
    launch = replace(launch_of(model), arguments=("--new",))
    found = units(BASE, changed(replace(model, launch=launch)))

    assert set(found) == {model.unit}
    assert (found[model.unit].effect, found[model.unit].model) == (Effect.RESTART, model.name)
    (key,) = found[model.unit].keys
    assert (key.key, key.after) == ("Container.Exec", ("--new",))


def test_a_changed_alias_only_reloads_the_gateway() -> None:
    model = container()
    routes = [replace(route, aliases=("another",)) if route.name == model.name else route for route in BASE.routes]
    after = replace(BASE, routes=tuple(routes))
    review = compare(emit(BASE), emit(after))

    assert [(unit.unit, unit.effect) for unit in review.units] == [("modelgrid-gateway.service", Effect.RELOAD)]
    (route,) = review.routes
    assert (route.name, [field.key for field in route.fields]) == (model.name, ["aliases"])


def test_a_model_that_goes_stops_and_takes_its_claims_with_it() -> None:
    model = replace(container(), claims=(ir.GpuClaim(uuid="GPU-1", memory=8 * 1024**3, held=8 * 1024**3),))
    before = changed(model)
    after = replace(
        before,
        servers=tuple(item for item in before.servers if item.name != model.name),
        routes=tuple(item for item in before.routes if item.name != model.name),
    )
    review = compare(emit(before), emit(after))
    found = {unit.unit: unit for unit in review.units}

    assert (found[model.unit].kind, found[model.unit].effect) == (Kind.REMOVED, Effect.STOP)
    assert [(claim.model, claim.gpu, claim.before, claim.after) for claim in review.claims] == [
        (model.name, "GPU-1", 8 * 1024**3, None)
    ]
    assert "8GiB -> nothing" in to_text(review, title="t", place=nowhere)


def test_relaxations_that_come_and_go_are_told_apart() -> None:
    model = container()
    loose = changed(replace(model, launch=replace(launch_of(model), writable=not launch_of(model).writable)))
    there, back = compare(emit(BASE), emit(loose)), compare(emit(loose), emit(BASE))

    one = there.relaxations_gained or there.relaxations_lost
    other = back.relaxations_lost or back.relaxations_gained
    assert one == other
    assert [item.text for item in one] == ["may write to its root file system"]


def test_a_key_is_named_and_its_hash_never_shown() -> None:
    gateway = replace(BASE.gateway, keys=(replace(BASE.gateway.keys[0], sha256="ab" * 32),))
    review = compare(emit(BASE), emit(replace(BASE, gateway=gateway)))

    (key,) = review.keys
    assert (key.name, [field.key for field in key.fields]) == (BASE.gateway.keys[0].name, ["sha256"])
    shown = [
        to_text(review, title="t", place=nowhere),
        to_markdown(review, title="t", place=nowhere),
        json.dumps(to_data(review, place=nowhere)),
    ]
    for text in shown:
        assert "sha256" in text
        assert "ab" * 8 not in text
        assert BASE.gateway.keys[0].sha256[:16] not in text
    assert [(unit.unit, unit.effect) for unit in review.units] == [("modelgrid-gateway.service", Effect.RELOAD)]


def test_text_for_people_alone_touches_nothing() -> None:
    def with_comment(item: Artifact) -> Artifact:
        return replace(item, content=f"# more\n{item.content}") if item.path.endswith(".container") else item

    review = compare(emit(BASE), tuple(map(with_comment, emit(BASE))))
    assert not review.empty
    assert review.units == ()
    assert "nothing that runs is touched" in to_text(review, title="t", place=nowhere)


def test_a_changed_key_has_the_place_of_its_origin() -> None:
    old = Artifact(path="units/modelgrid-model-a.service", content="[Service]\nExecStart=/a\n")
    new = replace(old, content=TracedText("[Service]\nExecStart=/b\n", ((2, "$.models.a.program"),)))
    review = compare([old], [new])

    assert review.units[0].keys[0].origins == ("$.models.a.program",)
    text = to_text(review, title="t", place=lambda origin: "g.yaml:5:3" if origin.endswith("program") else "")
    assert "from g.yaml:5:3 at $.models.a.program" in text


def test_long_values_show_the_words_that_differ() -> None:
    before = "--model /models/a.gguf --alias a --ctx-size 8192 --parallel 2"
    change = KeyChange(key="Container.Exec", before=(before,), after=(before.replace("8192", "4096"),))

    assert change_line(change) == 'Container.Exec: "… --ctx-size 8192 …" -> "… --ctx-size 4096 …"'


@given(before=st.lists(st.sampled_from("abc"), max_size=12), after=st.lists(st.sampled_from("abc"), max_size=12))
def test_words_that_differ_are_never_left_out(before: list[str], after: list[str]) -> None:
    change = KeyChange(key="k", before=(" ".join(before),), after=(" ".join(after),))
    if before != after:
        was, _, becomes = change_line(change).removeprefix("k: ").partition(" -> ")
        assert was != becomes


def test_secrets_in_values_are_masked_in_every_form() -> None:
    secret = "hf_" + "A1b2" * 8
    old = Artifact(path="units/modelgrid-model-a.service", content="[Service]\nEnvironment=A=1\n")
    new = replace(old, content=f"[Service]\nEnvironment=HF_TOKEN=swordfish X={secret}\n")
    review = compare([old], [new])
    for text in (
        to_text(review, title="t", place=nowhere),
        to_markdown(review, title="t", place=nowhere),
        json.dumps(to_data(review, place=nowhere)),
    ):
        assert secret not in text
        assert "swordfish" not in text


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("a", "`a`"),
        ("a|b", "`a\\|b`"),
        ("`", "`` ` ``"),
        ("a``b", "```a``b```"),
        ("<script>@all", "`<script>@all`"),
        ("", "` `"),
        ("a\nb", "`a\\nb`"),
    ],
)
def test_names_stand_in_code_spans_that_hold(text: str, span: str) -> None:
    assert code(text) == span


def test_a_comment_is_never_longer_than_a_host_takes() -> None:
    many = tuple(
        Artifact(path=f"units/modelgrid-model-{number}.service", content="[Service]\nEnvironment=A=1\n")
        for number in range(3000)
    )
    after = tuple(replace(item, content=item.content + f"Environment=B={'x' * 200}\n") for item in many)
    text = to_markdown(compare(many, after), title="t", place=nowhere)

    assert len(text) < 65_536
    assert "left out" in text
