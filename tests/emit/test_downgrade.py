from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from modelgrid.emit import emit
from modelgrid.emit.artifact import Artifact, TracedText
from modelgrid.emit.downgrade import downgrade, needs_host_gate
from modelgrid.emit.keys import check_support, has_quadlet
from modelgrid.emit.names import image_file, unit_name
from modelgrid.emit.origins import origins_of_key
from modelgrid.emit.podman_keys import PODMAN, Reader
from modelgrid.emit.quoting import Specifier, lookup, lookup_args, lookup_strv
from modelgrid.emit.systemd_quoting import command
from modelgrid.emit.unitfile import config_hash, meaning, parse_unit
from modelgrid.errors import ConfigError
from modelgrid.ir import Container, Scope
from tests.emit import reader, samples
from tests.emit.key_samples import key_value
from tests.emit.podman_meaning import model_of_generator

if TYPE_CHECKING:
    from modelgrid.emit.quoting import UnitText
    from modelgrid.ir import Deployment

VERSIONS = [(4, minor) for minor in range(4, 10)] + [(5, minor) for minor in range(9)]
GATE = command("/usr/bin/python3", "-P", "-m", "modelgrid.health", "http://10.0.0.2/health")
NEW = (5, 8)


def images(deployment: Deployment) -> dict[str, str]:
    launches = [model.launch for model in deployment.servers if isinstance(model.launch, Container)]
    return {image_file(launch.image): launch.image for launch in launches}


def downgraded(deployment: Deployment, podman: tuple[int, int], systemd: int = 257) -> list[tuple[Artifact, Artifact]]:
    """Each unit of *deployment* as it is for a new host, and for an old one."""
    return [
        (
            artifact,
            downgrade(
                artifact,
                podman=podman,
                systemd=systemd,
                user=deployment.scope is Scope.USER,
                gate=GATE,
                images=images(deployment),
            ),
        )
        for artifact in emit(replace(deployment, podman=(5, 8, 2), systemd=257))
        if unit_name(artifact.path) is not None
    ]


def lower(text: str, podman: tuple[int, ...], *, gate: UnitText | None = None, systemd: int = 257) -> str:
    """The `.container` whose section [Container] is *text*, for *podman*."""
    artifact = Artifact(path="quadlets/a.container", content=f"[Container]\nImage=localhost/a:1\n{text}\n")
    found = downgrade(artifact, podman=podman, systemd=systemd, gate=gate, user=True)
    check_support(found, podman=podman, systemd=systemd)
    return found.content


def lower_or_refuse(text: str, podman: tuple[int, int]) -> tuple[str, str]:
    try:
        return lower(text, podman), ""
    except ConfigError as error:
        return "", error.message


@pytest.mark.parametrize("podman", VERSIONS)
@pytest.mark.parametrize("sample", samples.ALL.values(), ids=samples.ALL)
def test_every_key_of_a_downgraded_sample_is_there(sample: Deployment, podman: tuple[int, int]) -> None:
    for _, artifact in downgraded(sample, podman, systemd=240):
        check_support(artifact, podman=podman, systemd=257)


@pytest.mark.parametrize("podman", VERSIONS)
@pytest.mark.parametrize("sample", samples.ALL.values(), ids=samples.ALL)
def test_a_downgraded_sample_asks_podman_for_the_same(sample: Deployment, podman: tuple[int, int]) -> None:
    for new, old in downgraded(sample, podman):
        if not new.path.endswith(".container"):
            continue
        wanted, found = model_of_generator(new.content, NEW), model_of_generator(old.content, podman)
        if needs_host_gate(podman):
            gated = parse_unit(old.content)["Service", "ExecStartPost"][0] == GATE
            assert gated or wanted.options["--sdnotify"] == ("conmon",)
            wanted.options["--sdnotify"] = ("conmon",)
        if podman < (4, 8):
            assert found.image == images(sample).get(wanted.image, wanted.image)
            assert found.options.pop("--read-only-tmpfs", ("true",)) == ("true",)
        else:
            assert found.image == wanted.image
        assert found.options == wanted.options
        assert found.command == wanted.command


@pytest.mark.parametrize("sample", samples.ALL.values(), ids=samples.ALL)
def test_nothing_changes_for_a_new_host_or_one_that_is_not_known(sample: Deployment) -> None:
    for new, same in downgraded(sample, (5, 8)):
        assert same is new
        assert downgrade(new, podman=(), systemd=0) is new


def test_what_is_not_about_the_key_stays_as_it_is() -> None:
    text = "# head\n[Unit]\nDescription=a\n\n[Container]\nImage=i\n# why\nMemory=1g\nExec=--a\n"
    found = downgrade(Artifact(path="quadlets/a.container", content=text), podman=(5, 4), systemd=257)

    assert found.content == text.replace("Memory=1g", "PodmanArgs=--memory=1g")


def test_a_downgraded_unit_has_the_hash_of_what_it_says() -> None:
    (old,) = (old for new, old in downgraded(samples.FULL, (4, 9)) if "llama3" in old.path)
    unit = parse_unit(old.content)
    (new,) = (artifact for artifact in emit(samples.FULL) if "llama3" in artifact.path and ".cont" in artifact.path)

    assert unit["X-ModelGrid", "ConfigHash"] == (config_hash(old.content),)
    assert f"io.modelgrid.config-hash={config_hash(old.content)}" in unit["Container", "Label"]
    assert meaning(old.content) != meaning(new.content)


@pytest.mark.parametrize(
    ("line", "podman", "wanted"),
    [
        ("Memory=8g", (5, 4), "--memory=8g"),
        ("GroupAdd=keep-groups", (5, 0), "--group-add=keep-groups"),
        ("AppArmor=unconfined", (5, 7), "--security-opt=apparmor=unconfined"),
        ("StopTimeout=30", (4, 9), "--stop-timeout=30"),
        ("Entrypoint=/bin/a b", (4, 9), '"--entrypoint=/bin/a b"'),
        ('Entrypoint=["a", "b"]', (4, 9), '"--entrypoint=[\\"a\\", \\"b\\"]"'),
        ("ShmSize=1b", (4, 6), "--shm-size=1b"),
        ("Pull=never", (4, 5), "--pull=never"),
        ("HealthCmd=curl $$x %%y", (4, 4), '"--health-cmd=curl $$x %%y"'),
        ("HealthStartupInterval=2s", (4, 4), "--health-startup-interval=2s"),
        ("IP=10.0.0.2", (4, 4), "--ip=10.0.0.2"),
        ("HttpProxy=false", (5, 6), "--http-proxy=false"),
        ("SecurityLabelDisable=true", (4, 4), "--security-opt=label=disable"),
        ("AutoUpdate=registry", (4, 5), "--label=io.containers.autoupdate=registry"),
        ("CgroupsMode=enabled", (5, 2), "--cgroups=enabled"),
        ('Secret=hf,type=mount,target="a b"', (4, 4), '"--secret=hf,type=mount,target=a b"'),
        ("Notify=healthy", (4, 9), "--sdnotify=healthy"),
        ("Notify=healthy", (4, 7), "--sdnotify=healthy"),
    ],
)
def test_a_key_becomes_the_option_that_it_stands_for(line: str, podman: tuple[int, int], wanted: str) -> None:
    assert lower(line, podman).splitlines()[-1] == f"PodmanArgs={wanted}"


def test_each_word_of_a_list_becomes_an_option() -> None:
    found = lower('Sysctl=net.a=1 "net.b=2 3"\nSysctl=net.c=4', (4, 5)).splitlines()[2:]

    assert found == ["PodmanArgs=--sysctl=net.a=1", 'PodmanArgs="--sysctl=net.b=2 3"', "PodmanArgs=--sysctl=net.c=4"]


def test_of_a_key_with_one_value_the_last_becomes_an_option() -> None:
    assert lower("Memory=1g\nMemory=2g", (5, 4)).splitlines()[2:] == ["PodmanArgs=--memory=2g"]


@pytest.mark.parametrize("key", sorted(PODMAN["Container"].keys() - {"Image", "Rootfs", "Group"}))
def test_every_key_means_the_same_or_is_refused_by_name(key: str) -> None:
    entry = PODMAN["Container"][key]
    line = f"{key}={key_value('Container', key)}"
    for podman in VERSIONS:
        found, refusal = lower_or_refuse(line, podman)
        if refusal:
            assert podman < max(entry.since, entry.option_since)
            assert f"{key}=" in refusal
            assert f"the target has {podman[0]}.{podman[1]}" in refusal
        elif entry.option and key != "ReadOnly":
            wanted = model_of_generator(f"[Container]\nImage=localhost/a:1\n{line}\n", (6, 0))
            assert model_of_generator(found, podman).options == wanted.options
        else:
            assert podman >= entry.since


@pytest.mark.parametrize(
    ("line", "podman", "since"),
    [
        ("ServiceName=x", (5, 2), "5.3"),
        ("Retry=3", (4, 9), "5.0"),
        ("HealthMaxLogCount=3", (5, 2), "5.3"),
        ("GlobalArgs=--log-level=debug", (4, 7), "4.8"),
        ("AddDevice=-/dev/kfd", (4, 5), "4.6"),
        ("Mount=type=volume,source=x.volume,destination=/x", (4, 4), "4.5"),
        ("Image=x.image", (4, 7), "4.8"),
        ("Notify=healthy", (4, 6), "4.7"),
    ],
)
def test_what_has_no_equal_is_refused(line: str, podman: tuple[int, int], since: str) -> None:
    with pytest.raises(
        ConfigError, match=rf"{line.partition('=')[0]}.*podman {since}, .* has {podman[0]}\.{podman[1]}"
    ):
        lower(line, podman)


def test_a_gate_from_the_host_comes_before_what_runs_after_the_start() -> None:
    text = "Notify=healthy\n\n[Service]\nExecStartPost=/bin/second"
    found = parse_unit(lower(text, (4, 6), gate=GATE))

    assert found["Service", "ExecStartPost"] == (GATE, "/bin/second")
    assert ("Container", "Notify") not in found
    assert ("Container", "PodmanArgs") not in found


def test_a_named_user_is_not_read_as_a_number() -> None:
    assert "PodmanArgs=--user=ai:video" in lower("User=ai\nGroup=video", (4, 7))
    assert "User=ai" in lower("User=ai", (4, 8)).splitlines()


def test_each_limit_counts() -> None:
    found = model_of_generator(lower("Ulimit=nofile=9\nUlimit=memlock=-1", (4, 9)), (4, 9))

    assert found.options["--ulimit"] == ("memlock=-1", "nofile=9")
    assert "Ulimit=nofile=9" in lower("Ulimit=nofile=9", (4, 9))


def test_a_read_only_container_keeps_its_file_systems_in_memory() -> None:
    assert "PodmanArgs=--read-only-tmpfs=true" in lower("ReadOnly=true", (4, 7))
    assert "tmpfs" not in lower("ReadOnly=true", (4, 8))
    assert "--read-only-tmpfs=false" in lower("ReadOnly=true\nReadOnlyTmpfs=false", (4, 7))
    assert "tmpfs=true" not in lower("ReadOnly=true\nReadOnlyTmpfs=false", (4, 7))


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ('ReloadCmd=kill -HUP "a b"', '/usr/bin/podman exec x kill -HUP "a b"'),
        ("ReloadSignal=SIGHUP", "/usr/bin/podman kill --signal=SIGHUP x"),
    ],
)
def test_a_reload_is_written_as_the_command_that_quadlet_makes_of_it(line: str, wanted: str) -> None:
    found = parse_unit(lower(f"ContainerName=x\n{line}", (5, 4)))

    assert found["Service", "ExecReload"] == (wanted,)


def test_an_image_is_pulled_by_a_service_of_the_same_name() -> None:
    pairs = downgraded(samples.FULL, (4, 7))
    services = [old for new, old in pairs if new.path.endswith(".image")]
    (container,) = (old for new, old in pairs if "llama3" in new.path and new.path.endswith(".container"))
    reference = samples.ISOLATED_LAUNCH.image
    (service,) = (old for old in services if f"Image={reference}\n" in old.content)
    unit, name = parse_unit(service.content), unit_name(f"quadlets/{image_file(reference)}")

    assert service.path == f"units/{name}"
    assert reader.command(unit["Service", "ExecStart"][0]) == ["/usr/bin/podman", "image", "pull", reference]
    assert unit["Service", "Type"] == ("oneshot",)
    assert len(unit["Service", "ExecCondition"]) == 1
    assert "network-online.target" in unit["Unit", "After"]
    assert name in parse_unit(container.content)["Unit", "Requires"]
    assert name in parse_unit(container.content)["Unit", "After"]
    assert parse_unit(container.content)["Container", "Image"] == (reference,)


def test_options_of_an_image_go_with_it() -> None:
    text = "[Image]\nImage=localhost/a:1\nTLSVerify=false\nPodmanArgs=--a 'b c'\n"
    found = downgrade(Artifact(path="quadlets/a.image", content=text), podman=(4, 7), systemd=257)

    words = reader.command(parse_unit(found.content)["Service", "ExecStart"][0])
    assert words[3:] == ["--tls-verify=false", "--a", "b c", "localhost/a:1"]


def test_a_server_that_fetches_waits_for_the_network_where_quadlet_does_not_see_to_it() -> None:
    found = {
        podman: {model.name for model in samples.FULL.servers if _waits(model.unit, podman)}
        for podman in [(4, 9), (5, 1), (5, 2)]
    }

    # from 5.2 on the generator adds it
    assert found == {(4, 9): {"qwen"}, (5, 1): {"qwen"}, (5, 2): set()}


def _waits(unit: str, podman: tuple[int, int]) -> bool:
    contents = [old.content for _, old in downgraded(samples.FULL, podman) if unit_name(old.path) == unit]
    return "After=network-online.target" in contents[0]


def test_a_section_goes_with_its_last_key() -> None:
    (old,) = (old for new, old in downgraded(samples.FULL, (5, 2)) if "llama3" in new.path and "cont" in new.path)

    assert "[Quadlet]" not in old.content
    assert "not to wait for network-online.target" not in old.content


def test_pauses_that_grow_are_left_out_together() -> None:
    for new, old in downgraded(samples.FULL, (5, 8), systemd=253):
        assert "RestartSteps" not in old.content
        assert "RestartMaxDelaySec" not in old.content
        assert ("RestartSec=5s" in new.content) == ("RestartSec=5s" in old.content)


def test_a_key_of_the_sandbox_is_never_left_out() -> None:
    gateway = Artifact(path="units/a.service", content="[Service]\nProtectProc=invisible\n")
    same = downgrade(gateway, podman=(), systemd=240)

    with pytest.raises(ConfigError, match=r"ProtectProc=, which came with systemd 247"):
        check_support(same, podman=(), systemd=240)


def test_a_line_keeps_what_it_comes_from() -> None:
    text = TracedText("[Container]\nImage=a\nMemory=1g\nEntrypoint=b\n", ((3, "$.a"), (3, "$.b"), (4, "$.c")))
    found = downgrade(Artifact(path="quadlets/a.container", content=text), podman=(5, 4), systemd=257)

    assert [(origins_of_key(found, ("Container", key))) for key in ("PodmanArgs", "Entrypoint", "Image")] == [
        *[("$.a", "$.b"), ("$.c",), ()]
    ]


def test_a_refusal_leads_to_what_its_key_comes_from() -> None:
    text = TracedText("[Container]\nImage=a\nServiceName=b\n", ((3, "$.models.a.quadlet.ServiceName"),))
    with pytest.raises(ConfigError) as caught:
        downgrade(Artifact(path="quadlets/a.container", content=text), podman=(5, 2), systemd=257)

    assert caught.value.report is not None
    assert [item.path for item in caught.value.report] == [("models", "a", "quadlet", "ServiceName")]


def test_podman_before_4_4_has_no_quadlet() -> None:
    assert [has_quadlet(version) for version in [(3, 4, 4), (4, 3, 1), (4, 4), (5, 8, 2), ()]] == [
        *[False, False, True, True, True]
    ]


def test_values_that_are_hard_to_quote_survive() -> None:
    text = 'a "b" \\ c%d $e; [x]'
    line = lookup((text, Specifier("%n")))
    found = lower(f"HealthCmd={line}", (4, 4)).splitlines()[-1].partition("=")[2]

    assert reader.lookup_args(found) == [f"--health-cmd={line}"]
    device = lower(f"Sysctl={lookup_strv('a=b c')}\nMask={lookup_args(['/a b'])}", (4, 5)).splitlines()[2:]
    assert [reader.lookup_args(entry.partition("=")[2]) for entry in device] == [
        ["--sysctl=a=b c"],
        ["--security-opt=mask=/a b"],
    ]


def test_only_readers_of_lists_take_several_lines() -> None:
    assert {item for item in Reader if item.several} == {Reader.ALL, Reader.STRV, Reader.ARGS, Reader.KEYVAL}
