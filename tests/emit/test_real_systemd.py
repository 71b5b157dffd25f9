"""What reaches programs that a booted systemd starts, as services and in containers."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from modelgrid.emit import quadlet
from modelgrid.emit.quoting import lookup_args
from modelgrid.emit.systemd_quoting import command, environment
from modelgrid.ir import Mount, Volume
from tests.emit import samples
from tests.emit.strategies import examples, special, written_by
from tests.machine.images import LLAMA_IMAGE
from tests.machine.machine import Machine
from tests.machine.ready import import_llama
from tests.machine.rootfs import SUITES, host_root

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.machine

TEXTS = 400

ODD_PATH = "/srv/my models/100% a:b$c,d'e\\n.gguf"

DUMP = "import json, os, sys; json.dump([sys.argv, dict(os.environ)], open(sys.argv[1], 'w'))"


@pytest.fixture(scope="module", params=SUITES)
def host(request: pytest.FixtureRequest) -> Iterator[Machine]:
    with Machine([host_root(request.param)]) as machine:
        machine.boot()
        yield machine


def test_systemd_gives_every_text_back(host: Machine) -> None:
    arguments = examples(special, TEXTS)
    variables = [(f"V{number}", value) for number, value in enumerate(examples(special, TEXTS))]
    host.write("/srv/dump.py", DUMP)
    lines = [f"ExecStart={command('/usr/bin/python3', '/srv/dump.py', '/run/dump.json', *arguments)}"]
    lines += [f"Environment={environment(name, value)}" for name, value in variables]
    host.write("/etc/systemd/system/dump.service", "\n".join(["[Service]", "Type=oneshot", *lines, ""]))
    host.run(["systemctl", "daemon-reload"])
    host.run(["systemctl", "start", "dump.service"])
    argv, environ = json.loads(host.read("/run/dump.json"))

    assert argv[2:] == arguments
    assert {name: environ[name] for name, _ in variables} == dict(variables)


def test_a_container_whose_image_is_there_starts_and_gets_every_text_back(host: Machine) -> None:
    arguments = examples(written_by(lambda value: lookup_args([value])), TEXTS)
    variables = [(f"V{number}", value) for number, value in enumerate(examples(special, TEXTS))]
    script = 'printf "%s\\0" "$@" >/out/argv; env -0 >/out/env; cat "$0" >/out/weights; exec sleep 60'
    launch = replace(
        samples.PUBLISHED_LAUNCH,
        image=LLAMA_IMAGE,
        entrypoint="/bin/sh",
        arguments=("-c", script, ODD_PATH, *arguments),
        mounts=(Mount(source=ODD_PATH, target=ODD_PATH),),
        volumes=(Volume(name="out", target="/out"),),
        health_command="""test "$(printf %s '$5; 50%n \\ "off"')" = '$5; 50%n \\ "off"' """.strip(),
        after_start=(),
        writable=False,
    )
    model = replace(samples.PUBLISHED, launch=launch, environment=tuple(variables))
    import_llama(host)
    host.write(ODD_PATH, "weights")
    for artifact in (
        quadlet.container(model, launch, samples.FULL),
        quadlet.image(LLAMA_IMAGE, podman="/usr/bin/podman"),
    ):
        host.write(f"/etc/containers/systemd/{artifact.path}", artifact.content)
    host.run(["systemctl", "daemon-reload"])
    host.run(["systemctl", "start", model.unit])
    folder = host.run(["podman", "volume", "inspect", "out", "--format", "{{.Mountpoint}}"]).stdout.strip()
    environ = dict(entry.split("=", 1) for entry in host.read(f"{folder}/env").split("\0") if entry)

    assert host.read(f"{folder}/weights") == "weights"
    assert host.read(f"{folder}/argv").split("\0")[:-1] == arguments
    assert {name: environ[name] for name, _ in variables} == dict(variables)
