"""The record of a placement survives its way through the file, and no other file passes for one."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelgrid.placement_record import (
    PlacementRecord,
    PlacementRecordError,
    RecordedGpu,
    RecordedServer,
    dump_placement,
    load_placement,
)

BYTES = st.integers(min_value=0, max_value=2**48)
TEXTS = st.text(st.characters(codec="utf-8"), max_size=10)
GPUS = st.builds(RecordedGpu, uuid=TEXTS, index=st.integers(0, 15), name=TEXTS, memory=BYTES, reserve=BYTES)
SERVERS = st.builds(
    RecordedServer,
    unit=TEXTS,
    models=st.lists(TEXTS, max_size=3).map(tuple),
    claims=st.dictionaries(TEXTS, BYTES, max_size=3),
    on_demand=st.booleans(),
    turns_with=st.lists(TEXTS, max_size=3).map(tuple),
)
RECORDS = st.builds(
    PlacementRecord, gpus=st.lists(GPUS, max_size=3).map(tuple), servers=st.lists(SERVERS, max_size=3).map(tuple)
)

SERVER = RecordedServer(unit="x.service", models=("x",), claims={"GPU-1": 5}, on_demand=True, turns_with=("y.service",))
GPU = RecordedGpu(uuid="GPU-1", index=0, name="NVIDIA L4", memory=24, reserve=1)
RECORD = PlacementRecord(gpus=(GPU,), servers=(SERVER,))


@given(RECORDS)
def test_a_record_is_read_as_it_was_written(record: PlacementRecord) -> None:
    assert load_placement(dump_placement(record)) == record


def altered(**changes: Any) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(dump_placement(RECORD))
    value["servers"][0].update(changes)
    return value


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([], "placement_version is None"),
        ({"placement_version": 2, "gpus": [], "servers": []}, "placement_version is 2"),
        ({"placement_version": True, "gpus": [], "servers": []}, "placement_version is True"),
        ({"placement_version": 1, "gpus": []}, "the file lacks or adds servers"),
        ({"placement_version": 1, "gpus": {}, "servers": []}, "the file.gpus is not of type list"),
        ({"placement_version": 1, "gpus": [1], "servers": []}, r"gpus\[0\] is not an object"),
        (altered(more=1), r"servers\[0\] lacks or adds more"),
        (altered(on_demand=1), r"servers\[0\].on_demand is not of type bool"),
        (altered(claims={"GPU-1": True}), r"servers\[0\].claims has a value that is not of type int"),
        (altered(models=[1]), r"servers\[0\].models has a value that is not of type str"),
    ],
)
def test_a_file_that_is_no_record_says_what_is_wrong(value: object, message: str) -> None:
    with pytest.raises(PlacementRecordError, match=message):
        load_placement(json.dumps(value))


def test_text_that_is_no_json_is_no_record() -> None:
    with pytest.raises(PlacementRecordError, match="not JSON"):
        load_placement("[" * 100_000)
