"""Pushes images to a registry over its protocol: layers, configurations, manifests, an index."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from dataclasses import dataclass
from typing import Any

import httpx

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def encode(data: object) -> bytes:
    return json.dumps(data).encode()


def archive(word: str) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as tar:
        member = tarfile.TarInfo("word")
        member.size = len(word)
        tar.addfile(member, io.BytesIO(word.encode()))
    return content.getvalue()


@dataclass(frozen=True)
class Pushed:
    digest: str
    architectures: dict[str, tuple[str, int]]


class Pusher:
    def __init__(self, host: str, auth: tuple[str, str] | None = None) -> None:
        self.host = host
        self.auth = auth

    def send(self, method: str, url: httpx.URL | str, content: bytes = b"", kind: str = "") -> httpx.Response:
        headers = {"content-type": kind} if kind else {}
        whole = httpx.URL(f"http://{self.host}").join(url)
        return httpx.request(
            method, whole, content=content, headers=headers, auth=self.auth, trust_env=False, verify=False
        )

    def blob(self, repository: str, content: bytes) -> dict[str, Any]:
        started = self.send("POST", f"/v2/{repository}/blobs/uploads/")
        assert started.status_code == 202, started.text
        place = httpx.URL(started.headers["location"]).copy_merge_params({"digest": digest_of(content)})
        done = self.send("PUT", place, content)
        assert done.status_code == 201, done.text
        return {"digest": digest_of(content), "size": len(content)}

    def document(self, repository: str, name: str, kind: str, data: object) -> str:
        content = encode(data)
        done = self.send("PUT", f"/v2/{repository}/manifests/{name or digest_of(content)}", content, kind)
        assert done.status_code == 201, done.text
        return digest_of(content)

    def single(
        self, repository: str, architecture: str, layers: tuple[bytes, ...], *, tag: str = "", kind: str = OCI_MANIFEST
    ) -> dict[str, Any]:
        rootfs = {"type": "layers", "diff_ids": [digest_of(layer) for layer in layers]}
        config = self.blob(repository, encode({"architecture": architecture, "os": "linux", "rootfs": rootfs}))
        oci = kind == OCI_MANIFEST
        layer_kind = "application/vnd.oci.image.layer.v1.tar" if oci else "application/vnd.docker.image.rootfs.diff.tar"
        config_kind = (
            "application/vnd.oci.image.config.v1+json" if oci else "application/vnd.docker.container.image.v1+json"
        )
        manifest = {
            "schemaVersion": 2,
            "mediaType": kind,
            "config": {"mediaType": config_kind, **config},
            "layers": [{"mediaType": layer_kind, **self.blob(repository, layer)} for layer in layers],
        }
        digest = self.document(repository, tag, kind, manifest)
        platform = {"architecture": architecture, "os": "linux"}
        return {"mediaType": kind, "digest": digest, "size": len(encode(manifest)), "platform": platform}

    def runnable(self, repository: str, tag: str, word: str) -> Pushed:
        """An image that podman can unpack: one layer, a tar archive with one file that says *word*."""
        entries = [
            self.single(repository, architecture, (archive(f"{word} for {architecture}"),))
            for architecture in ("amd64", "arm64")
        ]
        index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}
        digest = self.document(repository, tag, OCI_INDEX, index)
        return Pushed(digest, {entry["platform"]["architecture"]: (entry["digest"], 0) for entry in entries})

    def image(
        self, repository: str, tag: str, content: bytes = b"one", *, kinds: tuple[str, str] = (OCI_INDEX, OCI_MANIFEST)
    ) -> Pushed:
        """An image for two architectures that differ in their last layer; amd64 has one of them twice."""
        index_kind, kind = kinds
        base = b"base of all" * 100
        amd64 = self.single(repository, "amd64", (base, base, content), kind=kind)
        arm64 = self.single(repository, "arm64", (base, content + b" for arm"), kind=kind)
        arm64["platform"]["variant"] = "v8"
        index = {"schemaVersion": 2, "mediaType": index_kind, "manifests": [arm64, amd64]}
        digest = self.document(repository, tag, index_kind, index)
        sizes = {"amd64": len(base) + len(content), "arm64": len(base) + len(content) + len(b" for arm")}
        digests = {"amd64": amd64["digest"], "arm64": arm64["digest"]}
        return Pushed(digest, {name: (digests[name], size) for name, size in sizes.items()})
