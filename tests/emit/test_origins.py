from __future__ import annotations

import pytest

from modelgrid.emit.artifact import Artifact, TracedText
from modelgrid.emit.keys import check_support
from modelgrid.emit.origins import origins_at, origins_of_key, unit_origin
from modelgrid.emit.quoting import UnitText, Unrepresentable, lookup, lookup_args, traced
from modelgrid.errors import ConfigError

TEXT = "[Container]\nImage=a\nStopTimeout=5\nEnvironment=A=1\nEnvironment=B=2\n[X-ModelGrid]\nOrigin=$.models.a\n"
ORIGINS = ((3, "$.models.a.stop_timeout"), (4, "$.models.a.environment.A"), (5, "$.models.a.environment.B"))
UNIT = Artifact(path="quadlets/a.container", content=TracedText(TEXT, ORIGINS))


def test_a_traced_text_has_its_origins_and_equals_the_text_without() -> None:
    text = traced(("$.a", "$.b"), lookup_args, ["x", "y"])

    assert (text, text.origins) == ("x y", ("$.a", "$.b"))
    assert traced(("$.b", "$.c"), lambda: text).origins == ("$.a", "$.b", "$.c")
    assert UnitText("x y") == text


def test_a_refusal_has_the_origins_of_the_innermost() -> None:
    def inner() -> UnitText:
        return traced(("$.inner",), lookup, "")

    with pytest.raises(Unrepresentable) as caught:
        traced(("$.outer",), inner)
    assert caught.value.origins == ("$.inner",)


def test_origins_of_a_file_are_no_part_of_its_value() -> None:
    read_back = Artifact(path=UNIT.path, content=TEXT)

    assert read_back == UNIT
    assert hash(read_back) == hash(UNIT)
    assert (UNIT.origins, read_back.origins) == (ORIGINS, ())


def test_lines_and_keys_lead_to_the_configuration() -> None:
    assert origins_at(UNIT, 3) == ("$.models.a.stop_timeout",)
    assert origins_at(UNIT, 2) == ()
    key = ("Container", "Environment")
    assert origins_of_key(UNIT, key) == ("$.models.a.environment.A", "$.models.a.environment.B")
    assert origins_of_key(UNIT, key, "B=2") == ("$.models.a.environment.B",)
    assert unit_origin(Artifact(path=UNIT.path, content=TEXT)) == "$.models.a"
    assert unit_origin(Artifact(path="routing.json", content="{}")) == ""


def test_a_key_that_is_too_new_leads_to_its_own_line_else_to_the_model() -> None:
    def path_of(artifact: Artifact) -> object:
        with pytest.raises(ConfigError) as caught:
            check_support(artifact, podman=(4, 9), systemd=0)
        assert caught.value.report is not None
        (fault,) = caught.value.report
        assert fault.code == "MG4040"
        return fault.path

    assert path_of(UNIT) == ("models", "a", "stop_timeout")
    assert path_of(Artifact(path=UNIT.path, content=TEXT)) == ("models", "a")
