"""What commands print, where, and with which exit code."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from modelgrid.cli import main
from modelgrid.host.facts_file import load_facts

ROOT = Path(__file__).parent.parent.parent
FACTS = str(ROOT / "examples/hosts/cpu01.yaml")

GOOD = """\
version: 1
models:
  chat:
    engine: llamacpp
    source: /srv/models/chat.gguf
"""

BAD = """\
version: 1
modles: {}
models:
  chat:
    engine: lamacpp
    source: /srv/models/chat.gguf
    context: many
    aliases: [a, a]
"""


@pytest.fixture
def good(tmp_path: Path) -> Path:
    file = tmp_path / "modelgrid.yaml"
    file.write_text(GOOD, encoding="utf-8")
    return file


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    file = tmp_path / "bad.yaml"
    file.write_text(BAD, encoding="utf-8")
    return file


def test_check_of_a_sound_file_prints_nothing_on_stdout(good: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(good), "--facts", FACTS]) == 0
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "1 model, no errors" in captured.err


def test_check_shows_every_fault_with_line_column_caret_and_hint(bad: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(bad), "--facts", FACTS]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    for line, column in ((2, 1), (5, 13), (7, 14)):
        assert f"{bad}:{line}:{column}" in captured.err
    assert "^" in captured.err
    assert 'did you mean "models"' in captured.err.replace("'", '"')
    assert "llamacpp" in captured.err
    assert "Traceback" not in captured.err


def test_check_writes_json_for_tools(bad: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(bad), "--format", "json", "--facts", FACTS]) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["errors"] == len(report["diagnostics"])
    assert {item["line"] for item in report["diagnostics"]} >= {2, 5, 7}


def test_check_writes_sarif_and_workflow_commands_with_the_same_faults(
    bad: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(bad.parent)
    assert main(["check", str(bad), "--format", "json", "--facts", FACTS]) == 1
    wanted = [(item["code"], item["line"]) for item in json.loads(capsys.readouterr().out)["diagnostics"]]

    assert main(["check", str(bad), "--format", "sarif", "--facts", FACTS]) == 1
    (run,) = json.loads(capsys.readouterr().out)["runs"]
    places = [item["locations"][0]["physicalLocation"] for item in run["results"]]
    assert {place["artifactLocation"]["uri"] for place in places} == {"bad.yaml"}
    rules = [item["ruleId"] for item in run["results"]]
    assert list(zip(rules, [place["region"]["startLine"] for place in places], strict=True)) == wanted

    assert main(["check", str(bad), "--format", "github", "--facts", FACTS]) == 1
    captured = capsys.readouterr()
    assert [line.partition(",endLine")[0] for line in captured.out.splitlines()] == [
        f"::error file=bad.yaml,line={line}" for _, line in wanted
    ]
    assert f"{len(wanted)} errors" in captured.err


@pytest.mark.parametrize(
    ("form", "said"),
    [("text", None), ("json", '"message": "cannot read'), ("sarif", '"text": "cannot read'), ("github", "::error ")],
)
def test_a_file_that_is_not_there_is_said_in_every_format(
    form: str, said: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", str(tmp_path / "none.yaml"), "--format", form]) == 1
    captured = capsys.readouterr()
    if said is None:
        assert "cannot read" in captured.err
    else:
        assert said in captured.out


@pytest.mark.parametrize("form", ["text", "json", "sarif", "github"])
def test_strict_fails_on_a_warning_that_stays_one_in_every_format(
    form: str, good: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good.write_text(GOOD + "    port: 9000\n", encoding="utf-8")
    arguments = ["check", str(good), "--facts", FACTS, "--format", form]
    assert main(arguments) == 0
    without = capsys.readouterr()
    assert main([*arguments, "--strict"]) == 1
    with_strict = capsys.readouterr()
    for captured in (without, with_strict):
        shown = captured.err if form == "text" else captured.out
        assert "MG4007" in shown
        assert "warning" in shown
    assert without.out == with_strict.out


def test_warnings_do_not_hide_what_comes_after_them(good: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good.write_text(
        GOOD + "    port: 9000\n    gpus: 2\nengines: {mine: {image: docker.io/a/b:1, port: 9}}\n", encoding="utf-8"
    )
    assert main(["check", str(good), "--facts", FACTS, "--strict"]) == 1
    shown = capsys.readouterr().err
    assert {"warning[MG3017]", "error[MG4002]"} <= set(re.findall(r"(?:warning|error)\[MG\d+\]", shown))


def test_a_missing_model_file_is_a_fault_on_this_host_only(good: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(good)]) == 1
    assert f"{good}:5:13" in capsys.readouterr().err
    assert main(["check", str(good), "--facts", FACTS]) == 0


def test_a_file_that_is_not_there_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(tmp_path / "none.yaml")]) == 1
    assert "No such file" in capsys.readouterr().err


def test_check_reads_stdin() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "modelgrid", "check", "-", "--facts", FACTS],
        input=BAD,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "stdin:2:1" in done.stderr


def test_compile_writes_nothing_for_a_bad_file(bad: Path, tmp_path: Path) -> None:
    assert main(["compile", str(bad), "-o", str(tmp_path / "out"), "--facts", FACTS]) == 1
    assert not (tmp_path / "out").exists()


def test_compile_replaces_what_it_wrote_and_nothing_else(
    good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out"
    arguments = ["compile", str(good), "-o", str(output), "--facts", FACTS]
    assert main(arguments) == 0
    assert (output / "quadlets/modelgrid-model-chat.container").is_file()
    assert (output / "keys.json").stat().st_mode & 0o777 == 0o600

    good.write_text(GOOD.replace("chat:", "talk:"), encoding="utf-8")
    assert main(arguments) == 0
    assert not (output / "quadlets/modelgrid-model-chat.container").exists()

    (output / "mine.txt").write_text("mine", encoding="utf-8")
    assert main(arguments) == 2
    assert "did not write" in capsys.readouterr().err
    assert (output / "mine.txt").exists()


def test_the_sums_of_a_compiled_tree_hold(good: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    assert main(["compile", str(good), "-o", str(output), "--facts", FACTS]) == 0
    for line in (output / "SHA256SUMS").read_text(encoding="utf-8").splitlines():
        digest, _, path = line.partition("  ")
        assert hashlib.sha256((output / path).read_bytes()).hexdigest() == digest


def test_a_target_in_the_file_is_found_beside_it(
    good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good.write_text(GOOD + "target: {facts: hosts/one.yaml}\n", encoding="utf-8")
    assert main(["check", str(good)]) == 1
    assert "modelgrid facts" in capsys.readouterr().err
    (tmp_path / "hosts").mkdir()
    (tmp_path / "hosts/one.yaml").write_text(Path(FACTS).read_text(encoding="utf-8"), encoding="utf-8")
    assert main(["check", str(good)]) == 0


def test_what_does_not_fit_the_target_is_shown_at_its_line(good: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good.write_text(GOOD + "    gpus: 2\n", encoding="utf-8")
    assert main(["check", str(good), "--facts", FACTS]) == 1
    assert "error[MG4002]" in (err := capsys.readouterr().err)
    assert f"{good}:6:11" in err


def test_strict_makes_a_warning_an_error(good: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good.write_text(GOOD + "    port: 9000\n", encoding="utf-8")
    assert main(["check", str(good), "--facts", FACTS]) == 0
    assert "warning[MG4007]" in capsys.readouterr().err
    assert main(["check", str(good), "--facts", FACTS, "--strict"]) == 1


def test_facts_of_this_host_are_read_back(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["facts"]) == 0
    text = capsys.readouterr().out
    assert yaml.safe_load(text)["python"] == sys.executable
    assert load_facts(text, file="facts.yaml").python == sys.executable
    assert main(["facts", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == yaml.safe_load(text)


def test_a_new_key_is_printed_once_with_the_entry_for_the_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["key", "new", "laptop", "--model", "llama*"]) == 0
    captured = capsys.readouterr()
    key = captured.out.strip()
    assert key not in captured.err
    entry = yaml.safe_load(captured.err[captured.err.index("    - name") :])
    digest = hashlib.sha256(key.encode()).hexdigest()
    assert entry == [{"name": "laptop", "sha256": digest, "models": ["llama*"]}]


def test_init_writes_a_file_that_check_takes_and_never_over_another(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "modelgrid.yaml"
    assert main(["config", "init", str(file)]) == 0
    assert main(["check", str(file), "--facts", FACTS, "--strict"]) == 0
    assert main(["init", str(file)]) == 2
    assert "is there already" in capsys.readouterr().err


def test_show_prints_every_default(good: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good.write_text(GOOD + "target: {facts: f}\n", encoding="utf-8")
    assert main(["config", "show", str(good)]) == 0
    shown = yaml.safe_load(capsys.readouterr().out)
    assert shown["gateway"]["listen"] == "127.0.0.1:8080"
    assert shown["models"]["chat"]["runtime"] == "podman"
    assert (shown["gateway"]["max_body"], shown["models"]["chat"]["start_timeout"]) == ("64MiB", "10m")


@pytest.mark.parametrize("subject", ["chat", "modelgrid-model-chat.service", "modelgrid-model-chat", "talk"])
def test_explain_shows_the_lines_of_a_unit(subject: str, good: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good.write_text(GOOD + "    aliases: [talk]\n", encoding="utf-8")
    assert main(["explain", subject, str(good), "--facts", FACTS]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"quadlets/modelgrid-model-chat.container  from {good}:3:3 at $.models.chat"
    assert "[Container]" in lines
    dropped = lines.index("DropCapability=all")
    assert re.match(r" +podman: --cap-drop[= ]all", lines[dropped + 1])


def test_explain_of_a_unit_writes_json(good: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "gatewey", str(good), "--facts", FACTS, "--json"]) == 2
    assert "did you mean gateway" in capsys.readouterr().err
    assert main(["explain", "gateway", str(good), "--facts", FACTS, "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["file"] == "units/modelgrid-gateway.service"
    assert {"line", "key", "value", "origins", "podman"} == set(shown["lines"][0])


def test_explain_of_a_code_writes_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "mg4007", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["code"], shown["severity"]) == ("MG4007", "warning")


def test_explain_says_cause_and_fix(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "mg4001"]) == 0
    assert capsys.readouterr().out.startswith("MG4001: ")
    assert main(["explain", "MG0000"]) == 2


def test_schemas_are_printed_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema"]) == 0
    assert json.loads(capsys.readouterr().out)["type"] == "object"
    assert main(["schema", "manifest"]) == 0
    assert json.loads(capsys.readouterr().out)


def test_a_fault_of_ours_is_told_from_others(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(options: object) -> int:
        raise ZeroDivisionError("oops")

    monkeypatch.setattr("modelgrid.cli.gateway.run_key_new", broken)
    assert main(["key", "new", "x"]) == 70
    assert "ZeroDivisionError: oops" in capsys.readouterr().err


def test_a_closed_pipe_ends_quietly() -> None:
    done = subprocess.run(
        f"{sys.executable} -m modelgrid schema | head -n 1", shell=True, capture_output=True, text=True, check=False
    )
    assert done.stderr == ""


def test_a_key_has_a_name_that_the_file_can_hold(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["key", "new", 'team \N{GRINNING FACE} "a"']) == 0
    err = capsys.readouterr().err
    assert yaml.safe_load(err[err.index("    - name") :])[0]["name"] == 'team \N{GRINNING FACE} "a"'
    for name in ("", "a\nb"):
        assert main(["key", "new", name]) == 2


def test_json_is_written_for_a_file_that_cannot_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(tmp_path), "--format", "json"]) == 1
    assert json.loads(capsys.readouterr().out)["errors"] == 1


def test_a_program_of_ones_own_is_found_on_the_path(
    good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "my-serve"
    program.touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert main(["facts", "--program", "my-serve", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["programs"]["my-serve"] == str(program)

    good.write_text(
        "version: 1\n"
        "engines: {mine: {program: my-serve}}\n"
        f"models: {{m: {{engine: mine, runtime: native, source: {good}}}}}\n",
        encoding="utf-8",
    )
    output = tmp_path / "out"
    assert main(["compile", str(good), "-o", str(output)]) == 0
    assert f"ExecStart={program}" in (output / "units/modelgrid-model-m.service").read_text(encoding="utf-8")


def test_warnings_that_fail_are_called_warnings(good: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good.write_text(GOOD + "    port: 9000\n", encoding="utf-8")
    assert main(["check", str(good), "--facts", FACTS, "--strict"]) == 1
    assert "modelgrid: 1 warning\n" in capsys.readouterr().err


def test_a_user_of_another_host_has_that_hosts_home(
    good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good.write_text(GOOD.replace("/srv/models/chat.gguf", "package://some-gguf"), encoding="utf-8")
    facts = tmp_path / "facts.yaml"
    arguments = ["compile", str(good), "-o", str(tmp_path / "out"), "--user", "--facts", str(facts)]
    facts.write_text(Path(FACTS).read_text("utf-8"), encoding="utf-8")
    assert main(arguments) == 1
    assert "home" in capsys.readouterr().err
    facts.write_text(Path(FACTS).read_text("utf-8") + "home: /home/ada\n", encoding="utf-8")
    assert main(arguments) == 0
    unit = (tmp_path / "out/quadlets/modelgrid-model-chat.container").read_text("utf-8")
    assert "Volume=/home/ada/.cache/modelgrid/models/some.gguf:" in unit
