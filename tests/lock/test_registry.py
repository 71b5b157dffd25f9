"""Against a real registry, and against one that a proxy in between makes strange."""

from __future__ import annotations

import base64
import json
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from modelgrid.lock.references import Reference, parse_reference
from modelgrid.lock.registry import Registry, RegistryError
from modelgrid.lock.values import LockedImage, LockedManifest
from modelgrid.lock.web import AnswerError, UnreachableError, Web
from tests.lock.conftest import PASSWORD, USER
from tests.lock.images import DOCKER_LIST, DOCKER_MANIFEST, Pushed, Pusher, digest_of
from tests.lock.site import Reply, Request, forward, serve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import TypeAlias

    Ask: TypeAlias = Callable[..., LockedImage]

pytestmark = pytest.mark.tools


@pytest.fixture
def ask() -> Iterator[Ask]:
    with ExitStack() as stack:
        web = stack.enter_context(Web(timeout=5))

        def image(host: str, name: str, *logins: Path) -> LockedImage:
            return Registry(web, logins=logins).image(parse_reference(f"{host}/{name}"))

        yield image


def expected(pushed: Pushed) -> LockedImage:
    found = {name: LockedManifest(digest=digest, size=size) for name, (digest, size) in pushed.architectures.items()}
    return LockedImage(digest=pushed.digest, architectures=found)


def write_login(path: Path, host: str, word: str = PASSWORD) -> Path:
    auth = base64.b64encode(f"{USER}:{word}".encode()).decode()
    path.write_text(json.dumps({"auths": {host: {"auth": auth}}}), encoding="utf-8")
    return path


def test_an_index_is_resolved_for_both_architectures_with_their_sizes(registry: str, ask: Ask) -> None:
    pushed = Pusher(registry).image("team/serve", "1.2")
    assert ask(registry, "team/serve:1.2") == expected(pushed)


def test_docker_forms_of_index_and_manifest_are_read(registry: str, ask: Ask) -> None:
    pushed = Pusher(registry).image("team/serve", "1.2", kinds=(DOCKER_LIST, DOCKER_MANIFEST))
    assert ask(registry, "team/serve:1.2") == expected(pushed)


def test_an_image_without_index_is_that_of_its_own_architecture(registry: str, ask: Ask) -> None:
    entry = Pusher(registry).single("solo", "arm64", (b"layer", b"more"), tag="latest")
    manifest = LockedManifest(digest=entry["digest"], size=9)
    assert ask(registry, "solo") == LockedImage(digest=entry["digest"], architectures={"arm64": manifest})


def test_an_image_for_another_architecture_alone_is_refused(registry: str, ask: Ask) -> None:
    Pusher(registry).single("solo", "s390x", (b"layer",), tag="latest")
    with pytest.raises(RegistryError, match="for s390x alone"):
        ask(registry, "solo")


def test_an_index_without_linux_is_refused(registry: str, ask: Ask) -> None:
    push = Pusher(registry)
    entry = push.single("solo", "amd64", (b"layer",))
    entry["platform"]["os"] = "windows"
    kind = "application/vnd.oci.image.index.v1+json"
    push.document("solo", "latest", kind, {"schemaVersion": 2, "mediaType": kind, "manifests": [entry]})
    with pytest.raises(RegistryError, match="no image for Linux on amd64 or arm64"):
        ask(registry, "solo")


def test_a_digest_is_asked_for_even_when_the_tag_has_moved(registry: str, ask: Ask) -> None:
    push = Pusher(registry)
    first = push.image("team/serve", "1", b"first")
    second = push.image("team/serve", "1", b"second")
    assert first.digest != second.digest
    assert ask(registry, "team/serve:1") == expected(second)
    assert ask(registry, f"team/serve:1@{first.digest}") == expected(first)


@pytest.mark.parametrize("name", ["team/serve:no", "no/such:1", f"team/serve@{digest_of(b'')}"])
def test_what_is_not_there_is_said(registry: str, ask: Ask, name: str) -> None:
    Pusher(registry).image("team/serve", "1")
    with pytest.raises(RegistryError, match="has no"):
        ask(registry, name)


def test_a_registry_that_wants_a_login_gets_it_and_says_nothing_without(
    closed_registry: str, ask: Ask, tmp_path: Path
) -> None:
    pushed = Pusher(closed_registry, auth=(USER, PASSWORD)).image("team/serve", "1")
    assert ask(closed_registry, "team/serve:1", write_login(tmp_path / "a.json", closed_registry)) == expected(pushed)
    for login in ((), (write_login(tmp_path / "b.json", closed_registry, "wrong-word"),)):
        with pytest.raises(RegistryError) as caught:
            ask(closed_registry, "team/serve:1", *login)
        assert "401" in caught.value.message
        assert "podman login" in (caught.value.hint or "")
        assert "wrong-word" not in caught.value.message
        assert base64.b64encode(b"ada:wrong-word").decode() not in repr(caught.value)


def test_a_token_is_asked_for_once_and_sent_with_the_rest(registry: str, ask: Ask, tmp_path: Path) -> None:
    pushed = Pusher(registry).image("team/serve", "1")

    def answer(request: Request) -> Reply:
        if request.path == "/token":
            assert request.query == "scope=repository%3Ateam%2Fserve%3Apull&service=the+service"
            assert base64.b64decode(request.headers["authorization"].removeprefix("Basic ")) == b"ada:s3cret-word"
            return Reply(b'{"token": "abc.def"}')
        if request.headers.get("authorization") != "Bearer abc.def":
            challenge = f'Bearer realm="http://{site.host}/token", service="the service", scope="x", error="a \\"b\\""'
            return Reply(status=401, headers={"WWW-Authenticate": challenge})
        return forward(registry, request)

    with serve(answer) as site:
        found = ask(site.host, "team/serve:1", write_login(tmp_path / "auth.json", site.host))
        assert found == expected(pushed)
        assert site.paths.count("/token") == 1
        assert len(site.paths) == 1 + 1 + 3


@pytest.mark.parametrize(
    ("realm", "said"),
    [
        ("http://example.invalid/token", "only https is asked"),
        ("https://user:word@example.invalid/token", "credentials in it"),
        ("file:///etc/passwd", "only https is asked"),
        ("", "only https is asked"),
    ],
)
def test_a_login_is_sent_nowhere_unsafe(ask: Ask, tmp_path: Path, realm: str, said: str) -> None:
    with serve(lambda _: Reply(status=401, headers={"WWW-Authenticate": f'Bearer realm="{realm}"'})) as site:
        with pytest.raises(AnswerError, match=said) as caught:
            ask(site.host, "a:1", write_login(tmp_path / "auth.json", site.host))
        assert "word" not in str(caught.value)


@pytest.mark.parametrize("target", ["index", "manifest", "config"])
def test_bytes_that_are_not_what_their_digest_says_are_refused(registry: str, ask: Ask, target: str) -> None:
    push = Pusher(registry)
    pushed = push.image("team/serve", "1")
    push.single("solo", "amd64", (b"layer",), tag="1")
    paths = {
        "index": "/v2/team/serve/manifests/1",
        "manifest": f"/v2/team/serve/manifests/{pushed.architectures['arm64'][0]}",
        "config": "/v2/solo/blobs/",
    }

    def answer(request: Request) -> Reply:
        reply = forward(registry, request)
        if request.path.startswith(paths[target]):
            return Reply(reply.body.replace(b"a", b"b", 1), reply.status, reply.headers)
        return reply

    with serve(answer) as site, pytest.raises(RegistryError, match="not what its digest says"):
        ask(site.host, "solo:1" if target == "config" else "team/serve:1")


def test_a_digest_binds_though_the_registry_claims_no_digest(registry: str, ask: Ask) -> None:
    push = Pusher(registry)
    first, second = push.image("a", "1", b"first"), push.image("a", "1", b"second")

    def answer(request: Request) -> Reply:
        if request.path.endswith(first.digest):
            reply = forward(registry, Request(f"/v2/a/manifests/{second.digest}", "", request.headers))
            return Reply(reply.body, headers={"content-type": dict(reply.headers)["Content-Type"]})
        return forward(registry, request)

    with serve(answer) as site, pytest.raises(RegistryError, match="not what its digest says"):
        ask(site.host, f"a@{first.digest}")


def test_a_blob_may_be_elsewhere_and_a_manifest_may_not(registry: str, ask: Ask, tmp_path: Path) -> None:
    Pusher(registry).single("solo", "amd64", (b"layer",), tag="1")
    with serve(lambda request: forward(registry, request)) as elsewhere:

        def answer(request: Request) -> Reply:
            if "/blobs/" in request.path:
                return Reply(status=307, headers={"Location": f"http://{elsewhere.host}{request.path}"})
            if request.headers.get("authorization") is None:
                return Reply(status=401, headers={"WWW-Authenticate": 'Basic realm="x"'})
            return forward(registry, request)

        with serve(answer) as site:
            assert ask(site.host, "solo:1", write_login(tmp_path / "a.json", site.host)).architectures
        assert len(elsewhere.requests) == 1
        assert "authorization" not in elsewhere.requests[0].headers

        moved = Reply(status=307, headers={"Location": f"http://{elsewhere.host}/v2/solo/manifests/1"})
        with serve(lambda _: moved) as site, pytest.raises(RegistryError, match="sends on to another place"):
            ask(site.host, "solo:1")


@pytest.mark.parametrize(
    ("reply", "error", "said"),
    [
        (Reply(status=429), RegistryError, "429"),
        (Reply(status=503), RegistryError, "answers 503"),
        (Reply(status=403), RegistryError, "does not let this user"),
        (Reply(b"<html>"), AnswerError, "no JSON object"),
        (Reply(b"[" * 100_000), AnswerError, "no JSON object"),
        (Reply(b"{}"), RegistryError, "of the kind ''"),
        (Reply(b" " * (5 * 1024**2)), AnswerError, "more than 4194304 bytes"),
        (
            Reply(b'{"mediaType": "application/vnd.docker.distribution.manifest.v1+json"}'),
            RegistryError,
            "podman does not pull",
        ),
        (Reply(b"{}", headers={"Docker-Content-Digest": "md5:0"}), RegistryError, "cannot be checked"),
        (
            Reply(json.dumps({"mediaType": DOCKER_MANIFEST, "layers": [{"digest": "sha256:1", "size": 1}]}).encode()),
            AnswerError,
            "without digest or size",
        ),
        (
            Reply(json.dumps({"mediaType": DOCKER_LIST, "manifests": [None, {"platform": 1}]}).encode()),
            RegistryError,
            "no image for Linux",
        ),
    ],
)
def test_strange_answers_are_told_from_images(ask: Ask, reply: Reply, error: type[Exception], said: str) -> None:
    with serve(lambda _: reply) as site, pytest.raises(error, match=said):
        ask(site.host, "a:1")


def test_nobody_at_the_address_is_unreachable(ask: Ask) -> None:
    with serve(lambda _: Reply()) as site:
        pass
    with pytest.raises(UnreachableError):
        ask(site.host, "a:1")


def test_an_answer_that_never_ends_is_given_up() -> None:
    with (
        serve(lambda _: Reply(b"x" * 1024**2)) as site,
        Web(patience=0) as web,
        pytest.raises(UnreachableError, match="too slowly"),
    ):
        web.get(f"http://{site.host}/", limit=2 * 1024**2)


def test_plain_http_is_for_this_machine_alone() -> None:
    with Web() as web, pytest.raises(AnswerError, match="only https"):
        web.get("http://example.invalid/", limit=1)


def test_weights_of_a_library_are_its_layers(registry: str) -> None:
    push = Pusher(registry)
    entry = push.single("library/tiny", "amd64", (b"weights", b"license"), tag="1b", kind=DOCKER_MANIFEST)
    with Web() as web:
        reference = Reference(registry=registry, host=registry, repository="library/tiny", tag="1b")
        model = Registry(web, logins=()).weights(reference)
    assert model.revision == entry["digest"]
    files = {name: file.size for name, file in model.files.items()}
    for content in (b"weights", b"license"):
        assert files.pop(f"blobs/{digest_of(content).replace(':', '-')}") == len(content)
    assert len(files) == 1
