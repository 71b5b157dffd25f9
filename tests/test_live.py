"""What a change and the gateways tell each other survives its way through the files."""

from __future__ import annotations

import pytest

from modelgrid.live import Serving, WorkerStatus, load_serving, load_worker_status


def test_serving_is_read_as_it_was_written() -> None:
    serving = Serving(unit="modelgrid-gateway.service", index=1)
    assert load_serving(serving.dump()) == serving


def test_a_worker_is_read_as_it_was_written() -> None:
    status = WorkerStatus(manifest="ab", keys="cd", serving="x", in_flight={"10.0.0.2:80": 3, "10.0.0.1:80": 1}, held=2)
    assert load_worker_status(status.dump()) == status


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"unit": 1, "index": 0}', '{"unit": "x", "index": true}', "nul"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"not|Expecting"):
        load_serving(text)
    with pytest.raises(ValueError, match=r"not|Expecting"):
        load_worker_status(text)
