"""The application as any ASGI server sees it, without one."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from modelgrid.gateway.app import create_app
from modelgrid.gateway.asgi import BodyStalledError, BodyTooLargeError, ClientGoneError, Message, read_body
from modelgrid.gateway.holding import Holding
from modelgrid.gateway.linelog import LineLog
from modelgrid.gateway.reload import State
from modelgrid.gateway.upstream import Timeouts, UpstreamClient
from modelgrid.manifest import dump
from tests.gateway.conftest import manifest, route

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

PART = {"type": "http.request", "body": b"ab", "more_body": True}
LAST = {"type": "http.request", "body": b"c", "more_body": False}
GONE = {"type": "http.disconnect"}


def read(messages: Iterable[Message], limit: int = 10, patience: float = 1.0) -> bytes:
    queue = iter(messages)

    async def receive() -> Message:
        for message in queue:
            return message
        await asyncio.sleep(60)
        raise AssertionError

    return asyncio.run(read_body(receive, limit=limit, patience=patience))


def test_a_body_is_whole_when_its_last_part_has_come() -> None:
    assert read([PART, PART, LAST]) == b"ababc"
    assert read([{"type": "http.request"}]) == b""


@pytest.mark.parametrize("messages", [[GONE], [PART, GONE]])
def test_a_body_cut_off_is_no_body(messages: list[Message]) -> None:
    with pytest.raises(ClientGoneError):
        read(messages)


def test_a_body_over_the_limit_is_given_up_at_once() -> None:
    with pytest.raises(BodyTooLargeError):
        read([PART, PART], limit=3)


def test_a_body_that_stalls_is_given_up_even_if_empty_parts_come() -> None:
    with pytest.raises(BodyStalledError):
        read([PART, {"type": "http.request", "body": b"", "more_body": True}], patience=0.05)


def call(path: Path, keys: Path | None, *, exposed: bool = False, target: str = "/v1/models") -> tuple[int, Any]:
    sent: list[Message] = []

    async def receive() -> Message:
        return GONE

    async def send(message: Message) -> None:
        sent.append(message)

    async def main() -> None:
        state = State(
            manifest=path, keys=keys, exposed=exposed, changed=lambda: None, refused=lambda _path, _reason: None
        )
        holding = Holding(lambda: None)
        app = create_app(state=state, client=UpstreamClient(Timeouts()), holding=holding, log=LineLog())
        scope = {"type": "http", "method": "GET", "path": target, "headers": [(b"host", b"a")]}
        await app(scope, receive, send)

    asyncio.run(main())
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    return sent[0]["status"], json.loads(sent[1]["body"])


@pytest.mark.parametrize("target", ["/v1/models", "/ready"])
def test_without_a_manifest_it_is_not_ready_but_lives(tmp_path: Path, target: str) -> None:
    status, answer = call(tmp_path / "none", None, target=target)

    assert (status, answer["error"]["code"]) == (503, "gateway_not_ready")
    assert call(tmp_path / "none", None, target="/health")[0] == 200


@pytest.mark.parametrize(("keys", "exposed"), [("missing.json", False), ("missing.json", True), (None, True)])
def test_without_its_keys_nobody_is_let_in(tmp_path: Path, keys: str | None, *, exposed: bool) -> None:
    path = tmp_path / "manifest.json"
    path.write_text(dump(manifest(route("a", 1))))

    status, answer = call(path, tmp_path / keys if keys else None, exposed=exposed)

    assert (status, answer["error"]["code"]) == (503, "gateway_not_ready")


def test_a_fault_of_ours_is_an_answer_and_says_nothing_of_the_inside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "manifest.json"
    path.write_text(dump(manifest(route("a", 1))))
    monkeypatch.setattr("modelgrid.gateway.app.model_object", None)

    status, answer = call(path, None)

    assert (status, answer["error"]["code"]) == (500, "gateway_error")
    assert "NoneType" not in str(answer)
