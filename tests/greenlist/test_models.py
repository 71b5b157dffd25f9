from __future__ import annotations

from pathlib import Path

import pytest

from modelgrid.config.load import load
from modelgrid.greenlist import Gate
from tests.greenlist.lists import GIB, gpu, greenlist, held, places, related, rule

LISTED = greenlist(
    rule(),  # line 2
    rule("llama3:8b", "llamacpp", 0),
    rule("Qwen/Coder", "vllm", 40),
    rule("by-name", "vllm", 40),
    rule("files", "custom", 0),
)


@pytest.mark.parametrize(
    "model",
    [
        "llama3:8b: {engine: ollama}",
        "llama3:8b: {engine: ollama, source: 'llama3:8b', vram: 8GiB}",
        "another: {engine: ollama, source: 'llama3:8b', aliases: [gpt-4o]}",
        "llama3:8b: {engine: llamacpp, source: /srv/x.gguf, vram: 1GiB}",
        "llama3:8b: {engine: llamacpp, source: 'package://x-gguf'}",
        "coder: {engine: vllm, source: 'hf://Qwen/Coder'}",
        "by-name: {engine: vllm, source: /srv/weights}",
        "files: {engine: custom, image: a.io/b}",
    ],
)
def test_a_listed_model_is_allowed(model: str, tmp_path: Path) -> None:
    config, report, _ = held(f"  {model}", LISTED, tmp_path)

    assert config is not None
    assert not report


@pytest.mark.parametrize(
    ("model", "place", "rules", "part"),
    [
        ("nothing: {engine: ollama}", "4:3", ["1:20"], '"nothing" is not on'),
        ("llama3:70b: {engine: ollama}", "4:3", ["2:10"], 'mean "llama3:8b"'),
        ("llama3: {engine: ollama}", "4:3", ["2:10"], "not on"),
        ("LLAMA3:8B: {engine: ollama}", "4:3", ["1:20"], "not on"),
        # what runs counts, whatever it is called
        ("llama3:8b: {engine: ollama, source: 'evil:1b'}", "4:39", ["1:20"], 'runs "evil:1b"'),
        ("a: {engine: ollama, source: 'evil:1b', aliases: ['llama3:8b']}", "4:31", ["1:20"], 'runs "evil:1b"'),
        ("a: {engine: vllm, source: 'hf://evil/x'}", "4:29", ["1:20"], 'runs "evil/x"'),
        ("a: {engine: vllm, source: /srv/Qwen/Coder}", "4:3", ["1:20"], "not on"),
        # the engine counts
        (
            "llama3:8b: {engine: vllm, source: /srv/x}",
            "4:23",
            ["2:36", "3:36"],
            "for ollama and llamacpp, not for vllm",
        ),
        ("by-name: {engine: ollama}", "4:21", ["5:34"], "for vllm, not for ollama"),
        ("by-name: {engine: custom, image: a.io/b, source: 'hf://a/b'}", "4:21", ["5:34"], '"by-name" is on'),
    ],
)
def test_a_model_that_is_not_listed_is_refused_with_its_line_and_that_of_the_rule(
    model: str, place: str, rules: list[str], part: str, tmp_path: Path
) -> None:
    config, report, _ = held(f"  {model}", LISTED, tmp_path)

    assert config is None
    assert places(report) == [("MG3036", f"grid.yaml:{place}", [f"list.json:{item}" for item in rules])]
    (item,) = report
    assert part in f"{item.message} {item.hint}"


def test_an_empty_list_allows_nothing(tmp_path: Path) -> None:
    _, report, _ = held("  a: {engine: ollama}", greenlist(), tmp_path)

    assert [item.code for item in report.errors] == ["MG3036"]


def test_a_repository_that_is_listed_by_the_models_name_alone_is_a_warning(tmp_path: Path) -> None:
    config, report, _ = held("  by-name: {engine: vllm, source: 'hf://any/thing'}", LISTED, tmp_path)

    assert config is not None
    assert places(report) == [("MG3039", "grid.yaml:4:35", ["list.json:5:10"])]
    assert report.warnings


def test_a_claim_below_the_lists_memory_is_a_warning(tmp_path: Path) -> None:
    _, report, _ = held("  llama3:8b: {engine: ollama, vram: 7.5GiB}", LISTED, tmp_path)

    assert places(report) == [("MG3038", "grid.yaml:4:37", ["list.json:2:57"])]
    assert report.warnings


def test_every_model_is_judged_although_other_parts_are_at_fault(tmp_path: Path) -> None:
    _, report, _ = held(
        "  a: {engine: ollama}\n  b: {engine: ollama, context: x}\n  c: {engine: vllm}", LISTED, tmp_path
    )

    assert [item.code for item in report] == ["MG3036", "MG3036", "MG2003", "MG3036"]


def test_faults_of_the_list_are_reported_with_those_of_the_file(tmp_path: Path) -> None:
    _, report, _ = held("  a: {engine: lamacpp}", greenlist(rule(vram=-1)), tmp_path)

    assert [(item.code, str(item.location)) for item in report] == [
        ("MG3001", "grid.yaml:4:15"),
        ("MG3034", "list.json:2:57"),
    ]


def test_no_number_of_warnings_hides_an_error(tmp_path: Path) -> None:
    names = [f"m{number}" for number in range(150)]
    models = "\n".join(f"  {name}: {{engine: ollama, vram: 1GiB}}" for name in names) + "\n  last: {engine: ollama}"
    config, report, _ = held(models, greenlist(*(rule(name) for name in names)), tmp_path)

    assert config is None
    assert len(report.warnings) == 150
    assert [item.path for item in report.errors] == [("models", "last")]


def test_a_secret_in_the_file_hides_nothing_of_the_list(tmp_path: Path) -> None:
    # the secret is on line 2 of the file, and the fault on line 2 of the list
    section = "source: list.json}\nx-a: {b: hf_abcdefghijKLMNOPQRST"
    _, report, _ = held("  a: {engine: ollama}", greenlist(rule(vram=-1)), tmp_path, section=section)

    by_code = {item.code: item.location for item in report}
    secret, fault = by_code["MG3010"], by_code["MG3034"]
    assert secret is not None
    assert fault is not None
    assert "KLMNOP" not in secret.excerpt
    assert '"minVram": -1' in fault.excerpt


@pytest.mark.parametrize(
    ("model", "gpus", "enough"),
    [
        ("llama3:8b: {engine: ollama}", [8], True),
        ("llama3:8b: {engine: ollama}", [7.99], False),
        ("llama3:8b: {engine: ollama}", [4, 8], True),
        ("llama3:8b: {engine: ollama}", [4, 4], False),
        ("llama3:8b: {engine: ollama}", [], False),
        ("llama3:8b: {engine: ollama, gpus: 0}", [80], False),
        ("llama3:8b: {engine: ollama, gpus: 2}", [4, 4, 1], True),
        ("llama3:8b: {engine: ollama, gpus: [0]}", [4, 80], False),
        ("llama3:8b: {engine: ollama, gpus: [GPU-1]}", [4, 80], True),
        ("llama3:8b: {engine: llamacpp, source: /srv/x.gguf}", [], True),
        ("coder: {engine: vllm, source: 'hf://Qwen/Coder'}", [39], False),
    ],
)
def test_the_gpus_that_a_model_can_get_must_have_the_lists_memory(
    model: str,
    gpus: list[float],
    enough: bool,  # noqa: FBT001  a parameter of the test
    tmp_path: Path,
) -> None:
    config, _, gate = held(f"  {model}", LISTED, tmp_path)
    assert config is not None
    report = gate.check_host(config, [gpu(index, memory) for index, memory in enumerate(gpus)])

    rule_place = "list.json:4:56" if "Qwen" in model else "list.json:2:57"
    assert places(report) == ([] if enough else [("MG3037", "grid.yaml:4:3", [rule_place])])
    assert not report.warnings


def test_with_a_placement_the_gpus_that_a_model_got_count(tmp_path: Path) -> None:
    config, _, gate = held("  llama3:8b: {engine: ollama}", LISTED, tmp_path)
    assert config is not None
    gpus = [gpu(0, 4), gpu(1, 8)]

    assert not gate.check_host(config, gpus, placed={"llama3:8b": ["GPU-1"]})
    assert gate.check_host(config, gpus, placed={"llama3:8b": ["GPU-0"]}).errors
    assert gate.check_host(config, gpus, placed={"llama3:8b": []}).errors


def test_a_card_that_keeps_a_little_for_itself_is_explained(tmp_path: Path) -> None:
    config, _, gate = held("  llama3:8b: {engine: ollama}", greenlist(rule(vram=24)), tmp_path)
    assert config is not None
    (item,) = gate.check_host(config, [gpu(0, 24564 / 1024)])

    assert "23.99GiB" in item.message
    assert item.hint is not None
    assert "for itself" in item.hint
    assert related(item) == ["list.json:2:57"]


def test_without_a_list_every_model_and_host_passes() -> None:
    document = load("version: 1\nmodels: {}\n", file="grid.yaml")
    gate = Gate(document, base=Path())

    assert gate.rules is None


def test_a_half_gibibyte_is_exact(tmp_path: Path) -> None:
    _, _, gate = held("  llama3:8b: {engine: ollama}", greenlist(rule(vram=0.5)), tmp_path)

    assert gate.rules is not None
    found = gate.rules.find("llama3:8b", "ollama")
    assert found is not None
    assert found.memory == GIB // 2
