"""What goes wrong around apply on a machine: a clear message, and a system that runs on as before."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from modelgrid.lock.text import write_lock
from modelgrid.lock.values import Lock, LockedImage, LockedManifest
from tests.machine import tiny
from tests.machine.grid import FILE, GATEWAY, Grid

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

    from tests.machine.machine import Machine

pytestmark = pytest.mark.machine

KEEPER = "modelgrid-model-keeper.service"
BOXED = "modelgrid-model-boxed.service"
GO = "/srv/go"
LOCK = FILE.replace(".yaml", ".lock")
DIGEST = f"sha256:{'a' * 64}"
DEAF = "/run/deaf-bus"

CONFIG = f"""\
version: 1
engines:
{tiny.ENGINE}\
  plain: &plain
    program: /usr/bin/perl
    command: ["{{source}}", "{{port}}"]
    apis: [/v1/chat/completions]
    health: {{path: /health}}
  stuck:
    <<: *plain
    command: [-e, sleep 600]
  waits:
    <<: *plain
    command: [-e, 'sleep 1 until -e "{GO}"; exec "/usr/bin/perl", @ARGV', "{{source}}", "{{port}}"]
models:
  keeper: {{engine: plain, runtime: native, source: {tiny.PATH}, port: 9001}}
  boxed: {{engine: tiny, source: {tiny.PATH}}}
"""

#: A bus that lets everybody in (D-Bus specification, "Authentication Protocol") and answers nothing.
DEAF_BUS = rf"""
use IO::Socket::UNIX;
my $socket = IO::Socket::UNIX->new(Local => "{DEAF}", Listen => 9) or die $!;
my @kept;
while (my $client = $socket->accept) {{
    syswrite $client, "DATA\r\nOK 0123456789abcdef0123456789abcdef\r\nAGREE_UNIX_FD\r\n";
    push @kept, $client;
}}
"""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What must be as it was: every file of ours, and every run of a unit."""

    files: str
    invocations: dict[str, str]
    containers: str


def snapshot(grid: Grid) -> Snapshot:
    folders = ["/etc/modelgrid", "/etc/systemd/system", "/etc/containers"]
    # the times of folders tell of a name that came and went; that of the stage alone does not matter
    found = ["find", *folders, "-not", "-name", "filler", "-not", "-type", "d", "-printf", "%p %y %l %s %T@\n"]
    listed = grid.machine.run(["sh", "-c", '"$@" | sort', "sh", *found]).stdout
    lines = [line for line in listed.splitlines() if not line.startswith("/etc/modelgrid/lock ")]
    containers = grid.machine.run(["podman", "ps", "--format", "{{.ID}} {{.Names}}"]).stdout
    return Snapshot(files="\n".join(lines), invocations=grid.invocations(KEEPER, BOXED, GATEWAY), containers=containers)


@pytest.fixture(scope="module")
def applied(machine: Machine) -> Iterator[Grid]:
    """A program and a container that run. The folder of ModelGrid is on a small disk of its own."""
    grid = Grid(machine)
    grid.base = CONFIG
    machine.write(tiny.PATH, tiny.PROGRAM)
    machine.run(["mkdir", "-p", "/etc/modelgrid"])
    machine.run(["mount", "-t", "tmpfs", "-o", "size=2M", "small", "/etc/modelgrid"])
    grid.apply()
    yield grid
    # all but the folder itself goes: a disk is mounted there
    grid.modelgrid("destroy", check=False)
    assert machine.run(["ls", "-A", "/etc/modelgrid"]).stdout == ""
    assert grid.units() == set()
    machine.run(["umount", "/etc/modelgrid"])
    machine.run(["rm", "-rf", "/etc/modelgrid", tiny.PATH, FILE, GO])
    grid.close()


@pytest.fixture
def grid(applied: Grid) -> Iterator[Grid]:
    """The same; whatever the test does, all of it is afterwards as it was, and runs."""
    before = snapshot(applied)
    yield applied
    assert snapshot(applied) == before
    applied.machine.write(FILE, CONFIG)
    assert applied.plan()[0] == 0


def lock_image(machine: Machine, image: str, *, size: int) -> None:
    """Lock *image*, which is *size* bytes to pull."""
    manifests = {name: LockedManifest(digest=DIGEST, size=size) for name in ("amd64", "arm64")}
    machine.write(LOCK, write_lock(Lock(images={image: LockedImage(digest=DIGEST, architectures=manifests)})))


def refused(grid: Grid, text: str, code: int = 3) -> str:
    """Apply *text*, which must end with *code*; return what it says, without what it did before."""
    process = grid.apply(text, check=False)
    assert process.returncode == code, process.stderr
    assert "Traceback" not in process.stderr
    said = process.stderr.partition("modelgrid: ")[2]
    print(f"\n{said}")  # what a person reads is what this is about
    return said


def test_a_port_of_another_process_is_named_with_the_process(grid: Grid) -> None:
    grid.machine.run(["systemd-run", "--unit=other", "/usr/bin/perl", tiny.PATH, "9002"])
    grid.machine.wait_until(lambda: ":9002" in grid.machine.run(["ss", "-Hltn"]).stdout)
    more = f"{CONFIG}  second: {{engine: plain, runtime: native, source: {tiny.PATH}, port: 9002}}\n"
    try:
        said = refused(grid, more)
        planned = grid.modelgrid("plan", FILE, check=False)
    finally:
        grid.machine.run(["systemctl", "stop", "other"])
    assert "127.0.0.1:9002, where model second is to listen, is in use by perl (process" in said
    assert "other.service" in said
    assert planned.returncode == 1
    assert "start    modelgrid-model-second.service" in planned.stdout
    assert "apply would refuse: 127.0.0.1:9002" in planned.stderr


def test_all_that_is_missing_is_told_at_once(grid: Grid) -> None:
    more = CONFIG.replace(
        f"boxed: {{engine: tiny, source: {tiny.PATH}}}",
        f"boxed: {{engine: tiny, source: {tiny.PATH}, secrets: {{TOKEN: nobody, LICENCE_PATH: licence}},\n"
        "    volumes: [{source: /srv/none, target: /none}], quadlet: {AddDevice: nvidia.com/gpu=GPU-none}}",
    )
    more += "secrets: {nobody: {podman: nobody}, licence: {file: /srv/licence}}\n"
    said = refused(grid, more)
    for part in ("no secret nobody", "/srv/licence", "/srv/none", "names nvidia.com/gpu=GPU-none", "nvidia-ctk cdi"):
        assert part in said


def test_a_full_disk_leaves_what_runs(grid: Grid) -> None:
    filler = "/etc/modelgrid/filler"
    grid.machine.run(["dd", "if=/dev/zero", f"of={filler}", "bs=4k"], check=False)
    try:
        said = refused(grid, CONFIG.replace("port: 9001", "port: 9003"))
    finally:
        grid.machine.run(["rm", filler])
    assert "/etc/modelgrid/generations/" in said
    assert ": No space left on device" in said
    assert "make room" in said


def test_an_image_that_has_no_room_is_refused_by_what_the_lock_knows(grid: Grid) -> None:
    image = "127.0.0.1:5/large:1"
    lock_image(grid.machine, image, size=1 << 50)
    try:
        said = refused(grid, f"{CONFIG}  large: {{engine: tiny, source: {tiny.PATH}, image: '{image}'}}\n")
    finally:
        grid.machine.run(["rm", LOCK])
    assert f"free, and 1024TiB are to be pulled: {image} (1024TiB)" in said


def test_a_read_only_etc_leaves_what_runs(grid: Grid) -> None:
    grid.machine.run(["mount", "--bind", "/etc", "/etc"])
    try:
        grid.machine.run(["mount", "-o", "remount,bind,ro", "/etc"])
        said = refused(grid, CONFIG.replace("port: 9001", "port: 9003"))
    finally:
        grid.machine.run(["umount", "/etc"])
    assert "/etc" in said
    assert "cannot be written to (a read-only file system?)" in said


def test_a_value_that_the_generator_refuses_is_told_by_its_place(grid: Grid) -> None:
    more = CONFIG.replace("boxed: {engine: tiny,", "boxed: {engine: tiny, quadlet: {ExposeHostPort: many},")
    process = grid.apply(more, check=False)
    assert process.returncode == 1, process.stderr
    assert "MG4041" in process.stderr
    assert "boxed" in process.stderr
    assert "ExposeHostPort" in process.stderr


def test_an_image_that_cannot_be_pulled_takes_nothing_down(applied: Grid) -> None:
    before = applied.invocations(KEEPER, BOXED, GATEWAY)
    image = "127.0.0.1:5/none:1"
    lock_image(applied.machine, image, size=1 << 20)
    try:
        applied.machine.write(FILE, f"{CONFIG}  absent: {{engine: tiny, source: {tiny.PATH}, image: '{image}'}}\n")
        planned = applied.plan()[1]["images"]
        said = refused(applied, applied.machine.read(FILE))
    finally:
        applied.machine.run(["rm", LOCK])
    assert [(item["digest"], item["present"], item["bytes"]) for item in planned] == [(DIGEST, False, 1 << 20)]
    assert f"the image {image}@{DIGEST} cannot be pulled" in said
    assert "generation 1 runs again" in said
    assert applied.invocations(KEEPER, BOXED, GATEWAY) == before
    applied.machine.write(FILE, CONFIG)
    assert applied.plan()[0] == 0


def test_a_model_that_is_never_ready_is_given_up_and_the_old_generation_runs(applied: Grid) -> None:
    before = applied.invocations(KEEPER, BOXED)
    model = f"stuck: {{engine: stuck, runtime: native, source: {tiny.PATH}, port: 9004, start_timeout: 2s}}"
    said = refused(applied, f"{CONFIG}  {model}\n")
    assert "model stuck" in said
    assert "generation 1 runs again" in said
    assert applied.invocations(KEEPER, BOXED) == before
    applied.machine.write(FILE, CONFIG)
    assert applied.plan()[0] == 0
    assert "modelgrid-model-stuck.service" not in applied.units()


def test_a_systemd_that_does_not_answer_is_given_up(grid: Grid) -> None:
    grid.machine.write("/srv/deaf.pl", DEAF_BUS)
    grid.machine.run(["systemd-run", "--unit=deaf", "/usr/bin/perl", "/srv/deaf.pl"])
    grid.machine.wait_until(lambda: grid.machine.exists(DEAF))
    grid.machine.write(FILE, CONFIG.replace("port: 9001", "port: 9003"))
    env = {"DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={DEAF}", "SYSTEMD_BUS_TIMEOUT": "2s"}
    try:
        process = grid.machine.run(["modelgrid", "apply", FILE], check=False, env=env)
    finally:
        grid.machine.run(["systemctl", "stop", "deaf"])
        grid.machine.run(["rm", DEAF, "/srv/deaf.pl"])
    assert process.returncode == 3, process.stderr
    assert "modelgrid: systemd does not answer over D-Bus: " in process.stderr
    assert "systemctl status dbus" in process.stderr
    assert "Traceback" not in process.stderr
    print(f"\n{process.stderr}")


def test_of_eight_at_once_one_wins_and_the_others_say_so_at_once(
    applied: Grid, capsys: pytest.CaptureFixture[str]
) -> None:
    machine = applied.machine
    machine.write(FILE, f"{CONFIG}  waits: {{engine: waits, runtime: native, source: {tiny.PATH}, port: 9005}}\n")
    before = applied.invocations(KEEPER, BOXED)
    started = time.monotonic()
    # the first of them cannot end before there is a file
    running = [machine.popen(["bash", "-c", f"TIMEFORMAT=%U+%S; time modelgrid apply {FILE}"]) for _ in range(8)]
    try:
        machine.wait_until(lambda: len(ended(running)) == 7, timeout=60, what="the end of seven")
        took = time.monotonic() - started
    finally:
        machine.write(GO, "")
    told = [(process.communicate(timeout=60)[1], process.returncode) for process in running]
    assert sorted(code for _, code in told) == [0, *[3] * 7]
    losers = [text for text, code in told if code == 3]
    assert all("modelgrid: another modelgrid is changing this host right now" in text for text in losers)
    seconds = [sum(map(float, text.strip().rpartition("\n")[2].split("+"))) for text in losers]
    with capsys.disabled():
        print(f"\n  the seven ended {took:.1f} s after all began; processor time of each {max(seconds):.2f} s at most")
    # none waited: what it took is what it computed, however busy the machine is
    assert max(seconds) < 1
    assert applied.invocations(KEEPER, BOXED) == before
    applied.apply()
    assert applied.plan()[0] == 0


def ended(processes: list[subprocess.Popen[str]]) -> list[subprocess.Popen[str]]:
    return [process for process in processes if process.poll() is not None]
