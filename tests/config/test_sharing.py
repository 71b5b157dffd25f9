"""What models refer to: servers, models that stand in for them, secrets. And variables, wherever they are set."""

from __future__ import annotations

import pytest

from modelgrid.engines.names import builtin_abilities
from tests.config.reading import check_text


def found(text: str) -> list[tuple[str, tuple[str | int, ...]]]:
    """Code and path of everything that there is to say."""
    return [(item.code, item.path) for item in check_text(f"version: 1\n{text}")[1]]


def hints(text: str) -> list[str | None]:
    return [item.hint for item in check_text(f"version: 1\n{text}")[1]]


SOUND = """\
secrets: {hub: {podman: hf-token}}
servers: {o: {engine: ollama, secrets: {TOKEN: hub}}}
models:
  a: {server: o, source: mistral, vram: 2GiB, aliases: [gpt], fallback: [b]}
  b: {server: o, task: generate}
"""


def test_what_is_right_has_nothing_to_say() -> None:
    assert found(SOUND) == []


# --- servers


def test_a_server_that_is_not_there_is_named_with_the_one_that_may_be_meant() -> None:
    text = "servers: {ollama1: {engine: ollama}}\nmodels: {a: {server: ollama1}, b: {server: olama1}}"
    assert found(text) == [("MG3020", ("models", "b", "server"))]
    assert "ollama1" in (hints(text)[0] or "")


def test_a_server_that_is_itself_at_fault_is_not_said_to_be_missing() -> None:
    assert found("servers: {o: {engine: ollama, context: 0}}\nmodels: {a: {server: o}}") == [
        ("MG2006", ("servers", "o", "context"))
    ]


def test_a_model_without_engine_and_server_is_refused() -> None:
    assert found("models: {a: {source: x}}") == [("MG3021", ("models", "a"))]


@pytest.mark.parametrize(
    "field",
    [
        "engine: ollama",
        "runtime: native",
        "image: a.example/b:1",
        "context: 1",
        "parallel: 1",
        "gpus: 1",
        "args: [x]",
        "env: {A: b}",
        "port: 1024",
        "egress: true",
        "start_timeout: 1m",
        "replicas: 2",
        "load: on-demand",
        "idle_unload: 1m",
        "volumes: []",
        "resources: {}",
        "selinux: {}",
        "quadlet: {}",
        "systemd: {}",
        "secrets: {}",
    ],
)
def test_how_it_runs_is_said_by_the_server_alone(field: str) -> None:
    text = f"servers: {{o: {{engine: ollama}}}}\nmodels: {{a: {{server: o, {field}}}}}"
    assert found(text) == [("MG3022", ("models", "a", field.partition(":")[0]))]


def test_a_server_of_no_engine_is_refused() -> None:
    assert found("servers: {o: {engine: olama}}\nmodels: {a: {server: o}}") == [("MG3001", ("servers", "o", "engine"))]


def test_a_model_has_to_fit_to_the_engine_of_its_server() -> None:
    text = "version: 1\nservers: {o: {engine: ollama}}\nmodels: {a: {server: o, task: rerank}}"
    _, report = check_text(text, abilities=builtin_abilities)
    assert [(item.code, item.path) for item in report] == [("MG3019", ("models", "a", "task"))]


def test_what_nobody_uses_is_a_warning() -> None:
    text = (
        "secrets: {s: {podman: x}}\nservers: {o: {engine: ollama}}\nengines: {mine: {image: a.example/b:1}}\n"
        "models: {a: {engine: ollama}}"
    )
    assert sorted(found(text)) == [
        ("MG3017", ("engines", "mine")),
        ("MG3017", ("secrets", "s")),
        ("MG3017", ("servers", "o")),
    ]
    assert not check_text(f"version: 1\n{text}")[1].errors


def test_what_a_faulty_model_uses_is_not_said_to_be_unused() -> None:
    text = (
        "secrets: {s: {podman: x}}\nservers: {o: {engine: ollama}}\n"
        "models: {a: {engine: vllm, secrets: {T: s}, context: 0}, b: {server: o, vram: 8}}"
    )
    assert {code for code, _ in found(text)} == {"MG2005", "MG2006"}


def test_ports_of_servers_and_models_are_apart() -> None:
    text = (
        "servers: {o: {engine: ollama, port: 9000, runtime: native}}\n"
        "models: {a: {server: o}, b: {engine: ollama, port: 9000, runtime: native}}"
    )
    assert [code for code, _ in found(text)] == ["MG3003"]


def test_replicas_cannot_have_one_port() -> None:
    assert found("models: {a: {engine: ollama, port: 9000, replicas: 2}}") == [("MG3027", ("models", "a", "port"))]
    assert found("models: {a: {engine: ollama, port: 9000, replicas: 1}}") == []


# --- fallback


@pytest.mark.parametrize(
    ("fallback", "index"),
    [("[a]", 0), ("[b, b]", 1), ("[nobody]", 0), ("[other-name]", 0), ("[b, e]", 1)],
)
def test_a_fallback_that_cannot_stand_in_is_refused(fallback: str, index: int) -> None:
    text = (
        f"models: {{a: {{engine: ollama, fallback: {fallback}}}, b: {{engine: ollama, aliases: [other-name]}},"
        " e: {engine: ollama, task: embed}}"
    )
    assert found(text) == [("MG3024", ("models", "a", "fallback", index))]


def test_a_fallback_that_is_itself_at_fault_is_not_said_to_be_missing() -> None:
    text = "models: {a: {engine: ollama, fallback: [b]}, b: {engine: ollama, context: 0}}"
    assert found(text) == [("MG2006", ("models", "b", "context"))]


def test_models_may_stand_in_for_each_other() -> None:
    assert found("models: {a: {engine: ollama, fallback: [b]}, b: {engine: ollama, fallback: [a]}}") == []


# --- secrets


@pytest.mark.parametrize("where", ["{}", "{podman: a, file: /b}", "{file: /b, encrypted: /c}"])
def test_a_secret_is_in_one_place(where: str) -> None:
    text = f"secrets: {{s: {where}}}\nmodels: {{a: {{engine: ollama, secrets: {{T: s}}}}}}"
    assert found(text) == [("MG3026", ("secrets", "s"))]


@pytest.mark.parametrize("where", ["{podman: a}", "{file: /b}", "{encrypted: /c}"])
def test_a_secret_in_one_place_is_right(where: str) -> None:
    assert found(f"secrets: {{s: {where}}}\nmodels: {{a: {{engine: ollama, secrets: {{T: s}}}}}}") == []


def test_a_secret_that_is_not_there_is_refused() -> None:
    text = "secrets: {hub: {podman: a}}\nmodels: {a: {engine: ollama, secrets: {T: hub, U: hubb}}}"
    assert found(text) == [("MG3025", ("models", "a", "secrets", "U"))]
    assert "hub" in (hints(text)[0] or "")


def test_a_variable_is_set_once() -> None:
    text = "secrets: {s: {podman: a}}\nmodels: {a: {engine: ollama, env: {T: x}, secrets: {T: s}}}"
    assert found(text) == [("MG3025", ("models", "a", "secrets", "T"))]


@pytest.mark.parametrize("field", ["podman: a b", "file: relative", "encrypted: /a:b"])
def test_a_place_of_a_secret_has_its_form(field: str) -> None:
    text = f"secrets: {{s: {{{field}}}}}\nmodels: {{a: {{engine: ollama, secrets: {{T: s}}}}}}"
    assert [path for _, path in found(text)] == [("secrets", "s", field.partition(":")[0])]


# --- engines and target


def test_a_built_in_engine_extends_nothing_and_others_extend_a_built_in_one() -> None:
    text = (
        "engines: {vllm: {extends: ollama}, mine: {extends: vlm}, yours: {extends: mine}, good: {extends: vllm}}\n"
        "models: {a: {engine: vllm, source: /x}, b: {engine: mine, source: /x}, c: {engine: yours, source: /x},"
        " d: {engine: good, source: /x}}"
    )
    assert found(text) == [
        ("MG3028", ("engines", "vllm", "extends")),
        ("MG3001", ("engines", "mine", "extends")),
        ("MG3001", ("engines", "yours", "extends")),
    ]


def test_a_target_says_something() -> None:
    assert found("target: {}\nmodels: {a: {engine: ollama}}") == [("MG3029", ("target",))]
    assert found('target: {podman: "4.9"}\nmodels: {a: {engine: ollama}}') == []


# --- variables, wherever they are set

PLACES = {
    ("models", "a", "env", "NAME"): "models: {a: {engine: ollama, env: {NAME: x}}}",
    ("models", "a", "secrets", "NAME"): "secrets: {s: {podman: x}}\nmodels: {a: {engine: ollama, secrets: {NAME: s}}}",
    ("servers", "o", "env", "NAME"): "servers: {o: {engine: ollama, env: {NAME: x}}}\nmodels: {a: {server: o}}",
    **{
        ("engines", "ollama", *path, "env", "NAME"): f"engines: {{ollama: {text}}}\nmodels: {{a: {{engine: ollama}}}}"
        for path, text in {
            (): "{env: {NAME: x}}",
            ("options", "context"): "{options: {context: {env: {NAME: x}}}}",
            ("vendors", "cpu"): "{vendors: {cpu: {env: {NAME: x}}}}",
            ("tasks", "embed"): "{tasks: {embed: {apis: [/x], env: {NAME: x}}}}",
            ("shared",): "{shared: {env: {NAME: x}}}",
        }.items()
    },
    ("engines", "ollama", "env_native", "NAME"): (
        "engines: {ollama: {env_native: {NAME: x}}}\nmodels: {a: {engine: ollama}}"
    ),
}


@pytest.mark.parametrize("place", PLACES, ids=lambda place: ".".join(place[2:]))
@pytest.mark.parametrize(("name", "code"), [("LD_PRELOAD", "MG3012"), ("1ST", "MG3013"), ("A-B", "MG3013")])
def test_a_variable_may_be_set_nowhere_that_loads_code_or_has_no_name(
    place: tuple[str, ...], name: str, code: str
) -> None:
    assert found(PLACES[place]) == []
    assert found(PLACES[place].replace("NAME", name)) == [(code, (*place[:-1], name))]
