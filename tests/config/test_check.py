from __future__ import annotations

from pathlib import Path

import pytest

from modelgrid.config.check import check
from modelgrid.config.load import load
from modelgrid.diagnostics import Severity
from modelgrid.engines.names import BuiltinAbilities, builtin_abilities
from tests.config.reading import ENGINES, FILE, check_text, places

HASH = "60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752"
OTHER_HASH = "fd61a03af4f77d870fc21e05e7e80678095c92d808cfb3b5c279ee04c74aca13"

#: (text after `version: 1`, which is line 1; code, line, column). One fault each.
FAULTY = [
    # keys
    ("modles: {}", "MG2001", 2, 1),
    ("gateway: {lissen: 127.0.0.1:80}", "MG2001", 2, 11),
    ("models:\n  a: {engine: vllm, gpu: 1}", "MG2001", 3, 21),
    ("models:\n  a:\n    gpus: 1", "MG3021", 3, 3),
    ("target: {}", "MG3029", 2, 1),
    (f"gateway:\n  keys:\n    - name: a\n      sha256: {HASH}\n    - name: b", "MG2002", 6, 7),
    # types
    ("models: []", "MG2003", 2, 9),
    ("models:\n  a: vllm", "MG2003", 3, 6),
    ("models:\n  a:", "MG2003", 3, 3),
    ("models:\n  a: {engine: 5}", "MG2003", 3, 15),
    ("models:\n  a: {engine: vllm, context: 8k}", "MG2003", 3, 30),
    ("models:\n  a: {engine: vllm, context: '8'}", "MG2003", 3, 30),
    ("models:\n  a: {engine: vllm, context: 1.5}", "MG2003", 3, 30),
    ("models:\n  a: {engine: vllm, egress: 1}", "MG2003", 3, 29),
    ("models:\n  a: {engine: vllm, env: {B: 1}}", "MG2003", 3, 30),
    ("models:\n  a: {engine: vllm, env: {B: true}}", "MG2003", 3, 30),
    ("models:\n  a: {engine: vllm, env: [b]}", "MG2003", 3, 21),
    ("models:\n  a: {engine: vllm, aliases: b}", "MG2003", 3, 30),
    ("models:\n  a: {engine: vllm, aliases: [b, 1.5]}", "MG2003", 3, 34),
    ("models:\n  a: {engine: vllm, gpus: two}", "MG2003", 3, 27),
    ("models:\n  a: {engine: vllm, gpus: [0, 1.5]}", "MG2003", 3, 31),
    ("models:\n  a: {engine: vllm, args: x}", "MG2003", 3, 27),
    ("models:\n  a: {engine: vllm, args: [1]}", "MG2003", 3, 28),
    ("models:\n  a: {engine: vllm, args: {b: {c: 1}}}", "MG2003", 3, 28),
    ("models:\n  a: {engine: vllm, args: {b: [1, {c: 1}]}}", "MG2003", 3, 35),
    ("models:\n  a: {engine: vllm, args: {b: }}", "MG2003", 3, 28),
    # values
    ("models:\n  a: {engine: vllm, runtime: podmann}", "MG2004", 3, 30),
    ("models:\n  a: {engine: vllm, task: 5}", "MG2004", 3, 27),
    ("models:\n  a b: {engine: vllm}", "MG2005", 3, 3),
    ("models:\n  '': {engine: vllm}", "MG2005", 3, 3),
    (f"models:\n  {'a' * 129}: {{engine: vllm}}", "MG2005", 3, 3),
    ("engines: {My: {image: a.io/b}}", "MG2005", 2, 11),
    ("models:\n  a: {engine: vllm, vram: 8}", "MG2005", 3, 27),
    ("models:\n  a: {engine: vllm, vram: 8GB of it}", "MG2005", 3, 27),
    (f"models:\n  a: {{engine: vllm, vram: {'9' * 400}GiB}}", "MG2005", 3, 27),
    (f"models:\n  a: {{engine: vllm, start_timeout: {'9' * 400}h}}", "MG2005", 3, 36),
    ("models:\n  a: {engine: vllm, start_timeout: soon}", "MG2005", 3, 36),
    ('models:\n  a: {engine: vllm, source: ""}', "MG2005", 3, 29),
    ('models:\n  a: {engine: vllm, source: "a\\nExecStart=b"}', "MG2005", 3, 29),
    ('models:\n  a: {engine: vllm, env: {"A\\nB": c}}', "MG2005", 3, 27),
    ("gateway:\n  keys: [{name: a, sha256: abc}]", "MG2005", 3, 28),
    (f"gateway:\n  keys: [{{name: a, sha256: {HASH.upper()}}}]", "MG2005", 3, 28),
    ("engines: {llamacpp: {apis: [v1/chat]}}\nmodels: {a: {engine: llamacpp}}", "MG2005", 2, 29),
    ("models:\n  a: {engine: vllm, context: 0}", "MG2006", 3, 30),
    ("models:\n  a: {engine: vllm, port: 65536}", "MG2006", 3, 27),
    ("models:\n  a: {engine: vllm, start_timeout: 0s}", "MG2006", 3, 36),
    ("models:\n  a: {engine: vllm, start_timeout: 999ms}", "MG2006", 3, 36),
    ("gateway: {max_body: 0B}", "MG2006", 2, 21),
    ("gateway: {max_body: 1023B}", "MG2006", 2, 21),
    (f"gateway:\n  keys: [{{name: a, sha256: {HASH}, models: []}}]\nmodels: {{a: {{engine: vllm}}}}", "MG2006", 3, 102),
    # rules
    ("models:\n  a: {engine: lamacpp}", "MG3001", 3, 15),
    ("models:\n  a: {engine: vllm, aliases: [b]}\n  b: {engine: vllm}", "MG3002", 3, 31),
    ("models:\n  a: {engine: vllm, aliases: [a]}", "MG3002", 3, 31),
    ("models:\n  a: {engine: vllm, aliases: [c, c]}", "MG3002", 3, 34),
    ("models:\n  a: {engine: vllm, aliases: [c]}\n  b: {engine: vllm, aliases: [c]}", "MG3002", 4, 31),
    ("models:\n  a: {engine: vllm, port: 9000}\n  b: {engine: vllm, port: 9000}", "MG3003", 4, 27),
    ("models:\n  a: {engine: vllm, port: 8080}", "MG3003", 3, 27),
    ("gateway: {listen: '[::1]'}", "MG3004", 2, 19),
    ("gateway: {listen: localhost:8080}", "MG3004", 2, 19),
    ("gateway: {listen: ':8080'}", "MG3004", 2, 19),
    ("gateway: {listen: '::1:8080'}", "MG3004", 2, 19),
    ("gateway: {listen: '[127.0.0.1]:8080'}", "MG3004", 2, 19),
    ("gateway: {listen: '[fe80::1%eth0]:8080'}", "MG3004", 2, 19),
    ("gateway: {listen: 127.0.0.1:0}", "MG3004", 2, 19),
    ("gateway: {listen: 127.0.0.1:65536}", "MG3004", 2, 19),
    ("gateway: {listen: 127.0.0.1:+80}", "MG3004", 2, 19),
    (f"gateway: {{listen: 127.0.0.1:{'8' * 5000}}}", "MG3004", 2, 19),
    ("gateway: {listen: 0.0.0.0:8080}", "MG3005", 2, 19),
    ("gateway: {listen: '[::]:8080'}", "MG3005", 2, 19),
    ("gateway: {listen: 192.168.1.5:8080, keys: []}", "MG3005", 2, 19),
    (
        f"gateway:\n  keys:\n    - {{name: a, sha256: {HASH}}}\n    - {{name: a, sha256: {OTHER_HASH}}}",
        "MG3006",
        5,
        14,
    ),
    (f"gateway:\n  keys:\n    - {{name: a, sha256: {HASH}}}\n    - {{name: b, sha256: {HASH}}}", "MG3006", 5, 25),
    ("models:\n  a: {engine: custom}", "MG3009", 3, 15),
    ("models:\n  a: {engine: custom, runtime: native, image: a.io/b}", "MG3009", 3, 15),
    ("engines: {mine: {program: serve}}\nmodels:\n  a: {engine: mine}", "MG3009", 4, 15),
    ("engines: {mine: {image: a.io/b}}\nmodels:\n  a: {engine: mine, runtime: native}", "MG3009", 4, 15),
    ("models:\n  a: {engine: vllm, image: vllm}", "MG3011", 3, 28),
    ("models:\n  a: {engine: vllm, image: vllm/vllm-openai:v1}", "MG3011", 3, 28),
    ("models:\n  a: {engine: vllm, image: a.io/}", "MG3011", 3, 28),
    ("models:\n  a: {engine: vllm, image: a.io/b c}", "MG3011", 3, 28),
    ("engines: {vllm: {image: vllm}}\nmodels: {a: {engine: vllm}}", "MG3011", 2, 25),
    ("models:\n  a: {engine: vllm, env: {LD_PRELOAD: /x.so}}", "MG3012", 3, 27),
    ("engines: {vllm: {env: {LD_LIBRARY_PATH: /x}}}\nmodels: {a: {engine: vllm}}", "MG3012", 2, 24),
    ("models:\n  a: {engine: vllm, env: {A-B: c}}", "MG3013", 3, 27),
    ("models:\n  a: {engine: vllm, env: {1A: c}}", "MG3013", 3, 27),
    ("models:\n  a: {engine: ollama, on_change: reload}", "MG3050", 3, 34),
    ("models:\n  a: {engine: ollama, runtime: docker, on_change: reload}", "MG3050", 3, 51),
    ("network: {subnet: 10.133.0.0}", "MG3014", 2, 19),
    ("network: {subnet: 10.133.0.1/16}", "MG3014", 2, 19),
    ("network: {subnet: 10.0.0.0/8}", "MG3014", 2, 19),
    ("network: {subnet: fd00::/64}", "MG3014", 2, 19),
    ("network: {subnet: here}", "MG3014", 2, 19),
    ("models:\n  a: {engine: vllm, gpus: [0, 1, 0]}", "MG3015", 3, 34),
    ("models:\n  a: {engine: vllm, source: hf://nope}", "MG3018", 3, 29),
    ("models:\n  a: {engine: vllm, source: s3://bucket/x}", "MG3018", 3, 29),
    ("models:\n  a: {engine: vllm, source: ~/x.gguf}", "MG3018", 3, 29),
]


@pytest.mark.parametrize(("text", "code", "line", "column"), FAULTY)
def test_a_fault_is_reported_once_at_its_place(text: str, code: str, line: int, column: int) -> None:
    _, report = check_text(f"version: 1\n{text}\n")

    assert places(report) == [(code, line, column)]
    assert report.errors


@pytest.mark.parametrize(
    ("text", "place"),
    [("version: 2", ("MG2007", 1, 10)), ("version: '1'", ("MG2007", 1, 10)), ("models: {}", ("MG2002", 1, 1))],
)
def test_the_version_is_asked_for(text: str, place: tuple[str, int, int]) -> None:
    assert places(check_text(text)[1]) == [place]


@pytest.mark.parametrize(
    "text",
    [
        "models: {a: {engine: ollama, on_change: reload, quadlet: {ReloadSignal: HUP}}}",
        "gateway: {listen: '[::1]:8080'}",
        "gateway: {listen: 127.5.0.1:1}",
        f"gateway: {{listen: 0.0.0.0:443, keys: [{{name: a, sha256: {HASH}}}]}}",
        "network: {subnet: 10.9.8.0/24}",
        "gateway: {listen: 192.168.1.5:8080}\nmodels: {a: {engine: vllm, port: 8080}}",
        "engines: {mine: {image: localhost/serve}}\nmodels: {a: {engine: mine, env: {HF_TOKEN_PATH: /run/x}}}",
        "models: {a: {engine: custom, image: 'a.io:5000/b@sha256:00'}}",
        "models: {a: {engine: vllm, image: 'localhost:5000/b', gpus: []}}",
        "gateway: {max_body: 1KiB}\nmodels: {a: {engine: vllm, start_timeout: 500ms500ms}}",
        "models: {a: {engine: vllm, context: , args: {b: [1, x, true, 0.5]}}}",
        "x-base: &base {engine: vllm}\nmodels: {a: {<<: *base, x-note: mine}}",
    ],
)
def test_a_sound_file_has_a_config(text: str) -> None:
    config, report = check_text(f"version: 1\n{text}\n")

    if "192.168" in text:
        assert [item.code for item in report] == ["MG3005"]  # and no clash: the loopback's port is another
    else:
        assert config is not None
        assert not report


MANY = """\
version: 2
modles: {}
gateway:
  listen: 0.0.0.0
  keys:
    - {name: a, sha256: short}
engines:
  mine: {image: serve, port: 0}
models:
  a: {engine: mine, vram: 8, aliases: [b, b, c]}
  b: {engin: vllm, env: {LD_PRELOAD: x}}
  c: {engine: olama, image: x, context: 0}
  d: on
  e: {engine: vllm, aliases: [c], engine: vllm}
"""


def test_every_fault_of_a_file_is_reported_at_once() -> None:
    _, report = check_text(MANY)

    assert places(report) == [
        ("MG2007", 1, 10),
        ("MG2001", 2, 1),
        ("MG3004", 4, 11),
        ("MG2005", 6, 25),
        ("MG3011", 8, 17),
        ("MG2006", 8, 30),
        ("MG2005", 10, 27),
        ("MG3002", 10, 40),
        ("MG3002", 10, 43),
        ("MG3002", 10, 46),
        ("MG2001", 11, 7),
        ("MG3012", 11, 26),
        ("MG3001", 12, 15),
        ("MG3011", 12, 29),
        ("MG2006", 12, 41),
        ("MG1011", 13, 6),
        ("MG3002", 14, 31),
        ("MG1009", 14, 35),
    ]


def test_a_faulty_part_causes_no_fault_elsewhere() -> None:
    _, report = check_text(
        "version: 1\n"
        "gateway: {listen: 0.0.0.0:80, keys: [{name: a, sha256: x}]}\n"  # there is a key, if a bad one
        "engines: {mine: {image: 5}}\n"  # there is an engine of that name
        "models: {a: {engine: mine}}\n"
    )

    assert [item.code for item in report] == ["MG2005", "MG2003"]


def test_a_part_that_the_loader_left_out_causes_no_warning() -> None:
    _, report = check_text("version: 1\nengines: {vllm: {port: 1}}\nmodels: {}\nmodels: {a: {engine: vllm}}\n")

    assert [item.code for item in report] == ["MG1009"]


def test_a_lower_bound_is_named_with_its_unit() -> None:
    _, report = check_text("version: 1\nmodels: {a: {engine: vllm, start_timeout: 0m}}\n")

    assert report.errors[0].message == 'start_timeout must be at least 1s, and is "0m"'


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("modles: {}", 'did you mean "models"?'),
        ("models: {a: {engin: vllm, engine: vllm}}", 'did you mean "engine"?'),
        ("models: {a: {engine: olama}}", 'did you mean "ollama"?'),
        ("engines: {mine: {image: a.io/b}}\nmodels: {a: {engine: mime}}", 'did you mean "mine"?'),
        ("models: {a: {engine: vllm, runtime: pod}}", 'did you mean "podman"?'),
        ("models: {a: {engine: vllm, runtime: 1}}", "write podman or docker or native"),
        ("models: {a: {engine: vllm, env: {B: 1.5}}}", 'quote it: "1.5"'),
        ("models: {a: {engine: vllm, egress: 'yes'}}", "write true without quotes"),
        ("models: {a: {engine: vllm, context: '8'}}", "write it without quotes"),
        ("models: {a: {engine: vllm, aliases: b}}", "put it in brackets: [ ]"),
        ("models: {a: {engine: vllm, image: debian}}", "write docker.io/library/debian, or the registry"),
        ("models: {a: {engine: vllm, image: org/name}}", "write docker.io/org/name, or the registry"),
        ("network: {subnet: 10.133.7.0/16}", "write 10.133.0.0/16"),
        ("gateway: {listen: localhost:9000}", "127.0.0.1:9000"),
        ("models: {a: {}}", "`engine: NAME`"),
        ("gateway: {port: 80}", "known are: hold_requests, hold_time, keys"),
    ],
)
def test_the_hint_says_the_way_out(text: str, hint: str) -> None:
    _, report = check_text(f"version: 1\n{text}\n")

    assert hint in (report.errors[0].hint or "")


def test_faults_of_merged_keys_are_shown_where_they_are_written() -> None:
    _, report = check_text("version: 1\nx-base: &base\n  engine: nope\nmodels:\n  a:\n    <<: *base\n")
    (fault,) = report

    assert str(fault.location) == f"{FILE}:3:11"
    assert fault.path == ("models", "a", "engine")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("engines: {vllm: {port: 9}}", [("MG3017", 2, 11)]),
        (
            (
                f"gateway: {{keys: [{{name: a, sha256: {HASH}, models: [qwen, 'b*', x]}}]}}\n"
                "models: {bge: {engine: vllm, aliases: [x]}}"
            ),
            [("MG3016", 2, 111), ("MG3016", 2, 123)],
        ),
    ],
)
def test_what_has_no_effect_is_a_warning(text: str, expected: list[tuple[str, int, int]]) -> None:
    config, report = check_text(f"version: 1\n{text}\n")

    assert config is not None
    assert places(report) == expected
    assert {item.severity for item in report} == {Severity.WARNING}


def test_a_pattern_that_matches_an_alias_opens_no_model_and_the_hint_names_the_model() -> None:
    keys = f"gateway: {{keys: [{{name: a, sha256: {HASH}, models: [gpt-4o]}}]}}"
    _, report = check_text(f"version: 1\n{keys}\nmodels: {{qwen: {{engine: vllm, aliases: [gpt-4o]}}}}\n")
    (warning,) = report

    assert warning.code == "MG3016"
    assert 'write "qwen"' in (warning.hint or "")


@pytest.mark.parametrize("source", ["w/x.gguf", "./w", "/abs/x.gguf", ".", "hf://a/b", "package://c", "llama3:8b"])
def test_only_files_of_the_host_are_looked_for(source: str) -> None:
    asked: list[Path] = []
    _, report = check_text(
        f"version: 1\nmodels:\n  a: {{engine: vllm, source: '{source}'}}\n", base=Path("/grid"), exists=asked.append
    )

    if source in {"hf://a/b", "package://c", "llama3:8b"}:
        assert not asked
        assert not report
    else:
        assert asked == [Path("/grid") / source]
        assert places(report) == [("MG3008", 3, 29)]


@pytest.mark.parametrize(("error", "codes"), [(PermissionError(), []), (OSError(36, "too long"), ["MG3008"])])
def test_a_file_that_cannot_be_seen_is_not_missing(error: OSError, codes: list[str]) -> None:
    def exists(_: Path) -> bool:
        raise error

    text = "version: 1\nmodels: {a: {engine: vllm, source: ./w}}\n"
    _, report = check_text(text, base=Path(), exists=exists)

    assert [item.code for item in report] == codes


def test_a_source_is_asked_for_where_the_engine_needs_one() -> None:
    text = "version: 1\nmodels:\n  a: {engine: vllm}\n  b: {engine: ollama}\n  c: {engine: llamacpp}\n"
    _, report = check_text(text, abilities=builtin_abilities)

    assert places(report) == [("MG3007", 3, 3), ("MG3007", 5, 3)]
    assert [item.hint for item in report] == ["give a path or hf://ORG/NAME", "give a path or package://NAME"]


@pytest.mark.parametrize(
    ("engine", "source", "codes"),
    [
        ("vllm", "package://x", ["MG3019"]),
        ("vllm", "qwen", ["MG3019"]),
        ("vllm", "hf://a/b", []),
        ("ollama", "./x.gguf", ["MG3019"]),
        ("llamacpp", "hf://a/b", ["MG3019"]),
        ("llamacpp", "hf://a", ["MG3018"]),
    ],
)
def test_a_source_that_the_engine_does_not_take_is_a_fault(engine: str, source: str, codes: list[str]) -> None:
    text = f"version: 1\nmodels: {{a: {{engine: {engine}, source: '{source}'}}}}\n"
    _, report = check_text(text, abilities=builtin_abilities)

    assert [item.code for item in report] == codes


def test_a_task_that_the_engine_does_not_serve_is_a_fault() -> None:
    text = "version: 1\nmodels:\n  a: {engine: vllm, task: embed, source: hf://a/b}\n"
    _, report = check_text(text, abilities=lambda _: BuiltinAbilities(("repository",), ("generate",)))

    assert places(report) == [("MG3019", 3, 27)]


def test_every_part_of_split_weights_is_looked_for() -> None:
    text = "version: 1\nmodels: {a: {engine: llamacpp, source: /w/b-00001-of-00003.gguf}}\n"
    _, report = check_text(text, base=Path("/grid"), exists=lambda path: not path.name.startswith("b-00002"))

    assert [item.message for item in report] == [f"{Path('/w/b-00002-of-00003.gguf')} does not exist"]


def test_a_file_with_very_many_faults_is_reported_in_part() -> None:
    wrong = "".join(f"  m{i}: {{engine: nope, aliases: [x], context: 0, foo: 1}}\n" for i in range(5000))
    _, report = check_text(f"version: 1\nmodels:\n{wrong}")

    assert 100 < len(report.diagnostics) < 250
    assert "MG2008" in {item.code for item in report}


def test_check_adds_to_the_report_of_the_document() -> None:
    document = load("version: 1\nversion: 1\nmodles: {}\n", file=FILE)
    config, report = check(document, engines=ENGINES)

    assert config is None
    assert [item.code for item in report] == ["MG1009", "MG2001"]
