"""What a tree needs and the host lacks: told at once, in the plan and by apply, before anything is written."""

from __future__ import annotations

import dataclasses
import json
import os
import socket
import sys
from typing import TYPE_CHECKING

import pytest

from modelgrid.apply.checks.listeners import Listener, holders, listeners
from modelgrid.apply.checks.needs import Secret, SecretKind, listens_of, needs_of, secrets_of
from modelgrid.apply.checks.problems import Refusal
from modelgrid.apply.events import Event, EventKind
from modelgrid.apply.execute import apply, rollback
from modelgrid.apply.observe import plan
from modelgrid.apply.planning.units import units_of
from modelgrid.apply.store.files import FileSystem
from modelgrid.errors import HostError
from modelgrid.ir import Endpoint
from tests.apply.equipment import equip, put_file, write_cdi
from tests.apply.test_emitted import golden
from tests.apply.trees import GATEWAY, container, gateway, keys, native, network, routing, target, tree, unit_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from modelgrid.emit.artifact import Artifact
    from tests.apply.fakes import Machine

GPU = "nvidia.com/gpu=GPU-1"


def with_lines(item: Artifact, section: str, *lines: str) -> Artifact:
    text = item.content.replace(f"[{section}]\n", f"[{section}]\n" + "".join(f"{line}\n" for line in lines), 1)
    assert text != item.content
    return dataclasses.replace(item, content=text)


def tree_of(*models: Artifact, port: int = 8080) -> tuple[Artifact, ...]:
    slugs = [item.path.partition("model-")[2].partition(".")[0] for item in models]
    return tuple(sorted([target(), gateway(port), keys(), routing(slugs), network(), *models]))


def listening(machine: Machine, *sockets: tuple[str, int, int]) -> None:
    """Let the host have sockets that listen: address in hex as the kernel writes it, port, inode."""
    head = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
    rows = {4: head, 6: head}
    for address, port, inode in sockets:
        kind = 4 if len(address) == 8 else 6
        peer = f"{'0' * len(address)}:0000"
        rest = f"00000000:00000000 00:00000000 00000000  1000        0 {inode} 1 0000000000000000 100 0 0 10 0"
        rows[kind] += f"   0: {address}:{port:04X} {peer} 0A {rest}\n"
        # one that is connected, and takes nothing from anybody
        rows[kind] += f"   1: {address}:{port + 1:04X} {peer} 01 {rest}\n"
    put_file(machine, "/proc/net/tcp", rows[4])
    put_file(machine, "/proc/net/tcp6", rows[6])


def process(machine: Machine, pid: int, name: str, inode: int, group: str) -> None:
    put_file(machine, f"/proc/{pid}/comm", f"{name}\n")
    put_file(machine, f"/proc/{pid}/cgroup", f"0::{group}\n")
    machine.real(f"/proc/{pid}/fd").mkdir()
    machine.real(f"/proc/{pid}/fd/0").symlink_to("/dev/null")
    machine.real(f"/proc/{pid}/fd/7").symlink_to(f"socket:[{inode}]")


LOOPBACK, ANY, ANY6 = "0100007F", "00000000", "0" * 32


def refusal(machine: Machine, artifacts: Sequence[Artifact]) -> Refusal:
    """Return why apply refuses *artifacts*, which the plan must say in the same words; nothing may be written."""
    before = machine.snapshot()
    told = plan(artifacts, machine.host()).problems
    with pytest.raises(Refusal) as caught:
        apply(artifacts, machine.host())
    assert caught.value.problems == told
    assert machine.snapshot() == before
    return caught.value


def test_a_port_in_use_is_told_with_the_process_that_has_it(machine: Machine) -> None:
    listening(machine, (LOOPBACK, 8080, 4711))
    process(machine, 812, "nginx", 4711, "/system.slice/nginx.service")
    found = refusal(machine, tree(["a"]))
    assert found.message == (
        "127.0.0.1:8080, where modelgrid-gateway.service is to listen, is in use by nginx (process 812, nginx.service)"
    )
    assert ":8080" in str(found.hint)
    assert machine.current() is None


@pytest.mark.parametrize(
    ("address", "taken"), [(LOOPBACK, 1), (ANY, 1), (ANY6, 1), ("0200007F", 0), ("0" * 30 + "01", 0)]
)
@pytest.mark.skipif(sys.byteorder != "little", reason="the addresses are written as a little-endian kernel does")
def test_a_port_is_in_use_where_another_address_takes_it_along(machine: Machine, address: str, taken: int) -> None:
    listening(machine, (address, 8080, 4711))
    assert len(plan(tree(["a"]), machine.host()).problems) == taken


def test_ports_of_published_containers_and_of_programs_are_looked_at(machine: Machine) -> None:
    published = with_lines(container("a"), "Container", "PublishPort=127.0.0.1:9001:8080")
    program = with_lines(native("b"), "X-ModelGrid", "Endpoint=127.0.0.1:9002")
    listening(machine, (LOOPBACK, 9001, 1), (LOOPBACK, 9002, 2))
    assert {item.message.partition(",")[0] for item in refusal(machine, tree_of(published, program)).problems} == {
        "127.0.0.1:9001",
        "127.0.0.1:9002",
    }


def test_a_port_that_a_unit_of_ours_has_is_free_for_it(machine: Machine) -> None:
    apply(tree(["a"]), machine.host())
    listening(machine, (LOOPBACK, 8080, 4711))
    process(machine, 812, "python3", 4711, "/system.slice/podman.service")
    changed = tuple(
        with_lines(item, "Service", "Environment=A=1") if item.path.endswith(GATEWAY) else item for item in tree(["a"])
    )
    assert apply(changed, machine.host()).generation == 2


@pytest.mark.parametrize("unit", [GATEWAY, "modelgrid-standin-gateway.service"])
def test_a_port_that_a_unit_of_ours_has_while_it_starts_is_free_for_it(machine: Machine, unit: str) -> None:
    apply(tree(["a"]), machine.host())
    machine.systemd.running.pop(GATEWAY)
    listening(machine, (LOOPBACK, 8080, 4711))
    process(machine, 812, "python3", 4711, f"/system.slice/{unit}/worker")
    assert apply(tree(["a"]), machine.host()).generation == 1
    assert GATEWAY in machine.systemd.running


def test_what_runs_and_is_left_alone_is_not_asked_about(machine: Machine) -> None:
    model = with_lines(container("a"), "Container", f"AddDevice={GPU}", "Secret=token,type=env,target=TOKEN")
    equip(machine, tree_of(model))
    apply(tree_of(model), machine.host())
    machine.processes.secrets.clear()
    machine.real("/etc/cdi/test.json").unlink()
    assert apply(tree_of(model, native("b")), machine.host()).generation == 2
    assert len(refusal(machine, tree_of(with_lines(model, "Container", "ShmSize=1g"), native("b"))).problems) == 2


def test_a_device_that_no_cdi_specification_names_is_told_with_those_there_are(machine: Machine) -> None:
    model = with_lines(container("a"), "Container", f"AddDevice={GPU}", "AddDevice=/dev/kfd")
    assert refusal(machine, tree_of(model)).message == (
        f"no CDI specification names {GPU} (model a:latest); there is none in /etc/cdi and /var/run/cdi"
    )
    write_cdi(machine, ["nvidia.com/gpu=GPU-2", "nvidia.com/gpu=all"], "/var/run/cdi/nvidia.json")
    found = refusal(machine, tree_of(model))
    assert "name: nvidia.com/gpu=GPU-2, nvidia.com/gpu=all" in found.message
    assert "nvidia-ctk cdi generate" in str(found.hint)
    write_cdi(machine, [GPU])
    assert apply(tree_of(model), machine.host()).generation == 1


def test_secrets_that_are_missing_are_told_by_name(machine: Machine) -> None:
    artifacts = golden("secrets")
    equip(machine, artifacts)
    machine.processes.secrets.clear()
    machine.real("/etc/modelgrid/licence").unlink()
    machine.real("/etc/credstore.encrypted/sealed").unlink()
    hints = {item.message.partition(", ")[0]: item.hint for item in refusal(machine, artifacts).problems}
    assert set(hints) == {"podman has no secret hf-token", "/etc/modelgrid/licence", "/etc/credstore.encrypted/sealed"}
    assert hints["podman has no secret hf-token"] == "make it with: podman secret create hf-token -"
    assert "systemd-creds encrypt --name=sealed" in hints["/etc/credstore.encrypted/sealed"]
    equip(machine, artifacts)
    assert apply(artifacts, machine.host()).generation == 1


def test_a_secret_that_everybody_may_read_is_warned_of(machine: Machine) -> None:
    artifacts = golden("secrets")
    equip(machine, artifacts)
    machine.real("/etc/modelgrid/licence").chmod(0o644)
    assert any(
        "every user of this host may read /etc/modelgrid/licence" in n for n in plan(artifacts, machine.host()).notes
    )
    events: list[Event] = []
    apply(artifacts, machine.host(), on_event=events.append)
    warnings = [event.message for event in events if event.kind is EventKind.WARNING]
    assert len(warnings) == 1
    assert "chmod go= /etc/modelgrid/licence" in warnings[0]


def test_a_file_that_a_container_shows_is_there_or_told(machine: Machine) -> None:
    lines = ["Volume=/srv/a b.gguf:/models/m.gguf:ro".replace(" ", ""), "Volume=cache:/root/.cache"]
    lines += ['PodmanArgs=--mount "type=bind,source=/srv/odd:name,destination=/models/x,ro=true"', "Volume=%d/x:/run/x"]
    artifacts = tree_of(with_lines(container("a"), "Container", *lines))
    assert {item.message.partition(",")[0] for item in refusal(machine, artifacts).problems} == {
        "/srv/ab.gguf",
        "/srv/odd:name",
    }
    put_file(machine, "/srv/ab.gguf")
    put_file(machine, "/srv/odd:name")
    assert apply(artifacts, machine.host()).generation == 1


def test_a_local_image_that_is_missing_is_told_before_anything_stops(machine: Machine) -> None:
    apply(tree(["a"], ["b"]), machine.host())
    machine.facts()
    machine.processes.missing_images = {"localhost/llama:1"}
    found = refusal(machine, tree(["a", "c"], ["b"]))
    assert found.message.startswith("podman has no image localhost/llama:1")
    assert "podman images" in str(found.hint)
    assert machine.facts() == []


def test_files_in_the_way_are_told(machine: Machine) -> None:
    put_file(machine, "/etc/systemd/system/modelgrid-gateway.service", "mine")
    found = refusal(machine, tree(["a"]))
    assert found.message == ("in the way, and not made by ModelGrid: /etc/systemd/system/modelgrid-gateway.service")


def test_all_faults_are_told_at_once(machine: Machine) -> None:
    put_file(machine, "/etc/systemd/system/modelgrid-gateway.service", "mine")
    listening(machine, (LOOPBACK, 8080, 4711))
    machine.processes.missing_images = {"localhost/llama:1"}
    lines = [f"AddDevice={GPU}", "Secret=token,type=env,target=TOKEN", "Volume=/srv/a.gguf:/a.gguf:ro"]
    found = refusal(machine, tree_of(with_lines(container("a"), "Container", *lines)))
    assert len(found.problems) == 6
    for item in found.problems:
        assert item.message in str(found)
        assert item.hint in str(found)
    assert found.exit_code == 3


def test_a_rollback_to_what_the_host_can_no_longer_take_is_refused(machine: Machine) -> None:
    model = with_lines(container("a"), "Container", "Secret=token,type=env,target=TOKEN")
    equip(machine, tree_of(model))
    apply(tree_of(model), machine.host())
    apply(tree_of(container("a")), machine.host())
    machine.processes.secrets.clear()
    running = dict(machine.systemd.running)
    with pytest.raises(HostError, match="podman has no secret token, which model a:latest uses"):
        rollback(machine.host())
    assert (machine.current(), machine.systemd.running) == (2, running)


def test_a_plan_without_rights_does_not_say_what_it_cannot_see(machine: Machine) -> None:
    model = with_lines(container("a"), "Container", "Secret=token,type=env,target=TOKEN")
    machine.processes.missing_images = {"localhost/llama:1"}
    found = plan(tree_of(model), dataclasses.replace(machine.host(), user=1000))
    assert found.problems == ()
    assert any("without root's rights" in note for note in found.notes)


def test_the_plan_has_its_problems_for_tools(machine: Machine) -> None:
    machine.processes.missing_images = {"localhost/llama:1"}
    data = plan(tree(["a"]), machine.host()).to_dict()
    assert [item["message"].partition(",")[0] for item in data["problems"]] == ["podman has no image localhost/llama:1"]
    json.dumps(data)


def test_a_published_port_is_read_in_every_form() -> None:
    forms = ["9001:80", "127.0.0.1:9002:80/tcp", "[::1]:9003:80", "80", "127.0.0.1:9004:80/udp", "9005-9006:80-81"]
    unit = units_of([with_lines(container("a"), "Container", *(f"PublishPort={form}" for form in forms))])[unit_of("a")]
    assert list(listens_of(unit)) == [
        Endpoint(host="0.0.0.0", port=9001),
        Endpoint(host="127.0.0.1", port=9002),
        Endpoint(host="::1", port=9003),
    ]


@pytest.mark.parametrize("name", ["native", "docker", "vllm", "llamacpp", "ollama"])
def test_servers_on_the_loopback_are_found_where_the_gateway_asks_them(name: str) -> None:
    artifacts = golden(name)
    manifest = json.loads(next(item.content for item in artifacts if item.path == "routing.json"))
    asked = {(item["host"], item["port"]) for route in manifest["routes"] for item in route["upstreams"]}
    local = {f"{host}:{port}" for host, port in asked if host == "127.0.0.1"}
    found = {str(item) for unit in units_of(artifacts).values() if unit.model for item in needs_of(unit).listens}
    assert found == local


def test_secrets_are_found_however_they_are_handed_over() -> None:
    lines = [
        "LoadCredential=licence:/etc/x/li%%cence",
        "LoadCredentialEncrypted=sealed:/etc/sealed",
        "LoadCredential=stored",
    ]
    lines += ["LoadCredential=keys.json:/etc/modelgrid/current/keys.json", "LoadCredential=%N:%t/x"]
    item = with_lines(container("a"), "Container", "Secret=token,type=mount,target=/run/secrets/token,mode=0444")
    unit = units_of([with_lines(item, "Service", *lines)])[unit_of("a")]
    assert secrets_of(unit, "/etc/modelgrid/current") == (
        Secret(name="sealed", kind=SecretKind.ENCRYPTED, path="/etc/sealed"),
        Secret(name="licence", kind=SecretKind.FILE, path="/etc/x/li%cence"),
        Secret(name="token", kind=SecretKind.PODMAN),
    )


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_a_real_socket_is_found_with_its_process(machine: Machine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        endpoint = Endpoint(host="127.0.0.1", port=server.getsockname()[1])
        found: list[Listener] = [item for item in listeners(FileSystem()) if item.takes(endpoint)]
        assert len(found) == 1
        holder = holders(FileSystem(), [found[0].inode])[found[0].inode]
        assert holder.pid == os.getpid()
        assert holder.name
