"""GPUs as NVML tells them. A fake pynvml stands for the driver, which no machine for tests has."""

from __future__ import annotations

import json
import sys
from functools import partial
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from modelgrid.cli import main
from modelgrid.host import cdi
from modelgrid.host.facts import Gpu, Vendor
from modelgrid.host.probe import interpreter, nvidia_gpus

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

GIB = 1024**3
H100 = Gpu(index=0, uuid="GPU-aaaa", name="NVIDIA H100", memory=80 * GIB, vendor=Vendor.NVIDIA)
L4 = Gpu(index=1, uuid="GPU-bbbb", name="NVIDIA L4", memory=24 * GIB, vendor=Vendor.NVIDIA)
A10 = Gpu(index=2, uuid="GPU-cccc", name="NVIDIA A10", memory=24 * GIB, vendor=Vendor.NVIDIA)


class NVMLError(Exception):
    """What every function of pynvml raises."""


class FakeNvml(ModuleType):
    """As much of pynvml as is used, for a host with *gpus*; those in *lost* answer no query, as after a fallen bus."""

    NVMLError = NVMLError

    def __init__(self, gpus: Sequence[Gpu], *, driver: bool = True, lost: frozenset[int] = frozenset()) -> None:
        super().__init__("pynvml")
        self.gpus, self.driver, self.lost = gpus, driver, lost
        self.open = 0

    def nvmlInit(self) -> None:  # noqa: N802  pynvml's name
        if not self.driver:
            raise NVMLError("Driver Not Loaded")
        self.open += 1

    def nvmlShutdown(self) -> None:  # noqa: N802  the same
        self.open -= 1

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802  the same
        self._need_init()
        return len(self.gpus)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> Gpu:  # noqa: N802  the same
        self._need_init()
        return self.gpus[index]

    def nvmlDeviceGetUUID(self, handle: Gpu) -> str:  # noqa: N802  the same
        self._need_init()
        return handle.uuid

    def nvmlDeviceGetName(self, handle: Gpu) -> str:  # noqa: N802  the same
        self._need_init()
        return handle.name

    def nvmlDeviceGetMemoryInfo(self, handle: Gpu) -> SimpleNamespace:  # noqa: N802  the same
        self._need_init()
        if handle.index in self.lost:
            raise NVMLError("GPU is lost")
        return SimpleNamespace(total=handle.memory, free=1, used=handle.memory - 1)

    def _need_init(self) -> None:
        if not self.open:
            raise NVMLError("Uninitialized")


def install(monkeypatch: pytest.MonkeyPatch, nvml: FakeNvml) -> FakeNvml:
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    return nvml


def test_every_gpu_is_read_in_the_order_of_nvml(monkeypatch: pytest.MonkeyPatch) -> None:
    nvml = install(monkeypatch, FakeNvml([H100, L4]))
    assert nvidia_gpus() == (H100, L4)
    assert nvml.open == 0


def test_a_host_without_the_driver_has_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, FakeNvml([H100], driver=False))
    assert nvidia_gpus() == ()


def test_a_gpu_that_answers_no_query_is_left_out_and_the_others_keep_their_index(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    nvml = install(monkeypatch, FakeNvml([H100, L4, A10], lost=frozenset({1})))
    assert nvidia_gpus() == (H100, A10)
    assert nvml.open == 0


@pytest.fixture
def cdi_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of CDI specifications, the only one."""
    monkeypatch.setattr(cdi, "device_names", partial(cdi.device_names, (tmp_path,)))
    return tmp_path


def test_gpu_list_shows_each_gpu_and_whether_cdi_names_it(
    monkeypatch: pytest.MonkeyPatch, cdi_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    install(monkeypatch, FakeNvml([H100, L4]))
    specification = {"cdiVersion": "0.6.0", "kind": "nvidia.com/gpu", "devices": [{"name": H100.uuid}]}
    (cdi_folder / "nvidia.json").write_text(json.dumps(specification), encoding="utf-8")

    assert main(["gpu", "list"]) == 0
    shown, told = capsys.readouterr()
    assert [line.split() for line in shown.splitlines()] == [
        ["INDEX", "NAME", "MEMORY", "UUID", "CDI"],
        ["0", "NVIDIA", "H100", "80GiB", "GPU-aaaa", "yes"],
        ["1", "NVIDIA", "L4", "24GiB", "GPU-bbbb", "no"],
    ]
    assert told == ""

    assert main(["gpu", "list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == [
        {
            "index": 0,
            "uuid": "GPU-aaaa",
            "name": "NVIDIA H100",
            "memory": 80 * GIB,
            "node": None,
            "cdi": "nvidia.com/gpu=GPU-aaaa",
        },
        {"index": 1, "uuid": "GPU-bbbb", "name": "NVIDIA L4", "memory": 24 * GIB, "node": None, "cdi": None},
    ]


@pytest.mark.parametrize(("arguments", "shown"), [((), ""), (("--json",), "[]\n")])
def test_gpu_list_without_a_gpu_is_empty_and_no_fault(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], shown: str
) -> None:
    install(monkeypatch, FakeNvml([], driver=False))
    assert main(["gpu", "list", *arguments]) == 0
    captured = capsys.readouterr()
    assert captured.out == shown
    assert ("no GPU" in captured.err) == (not arguments)


@pytest.mark.parametrize("name", ["python", "python3", "python3.11"])
def test_an_interpreter_is_the_same_by_each_of_its_names(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for other in ("python", "python3", "python3.11"):
        (tmp_path / other).symlink_to(sys.executable)
    monkeypatch.setattr(sys, "executable", str(tmp_path / name))

    assert interpreter() == str(tmp_path / "python3")


def test_an_interpreter_that_is_not_python3_keeps_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pypy").touch()
    monkeypatch.setattr(sys, "executable", str(tmp_path / "pypy"))
    assert interpreter() == str(tmp_path / "pypy")
    (tmp_path / "python3").touch()
    assert interpreter() == str(tmp_path / "pypy")
