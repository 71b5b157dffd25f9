"""ModelGrid on a machine, as its administrator and its clients see it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from openai import OpenAI

from modelgrid.keys import new_key
from tests.machine.images import LLAMA_IMAGE
from tests.machine.layers import MODEL

if TYPE_CHECKING:
    import subprocess

    from tests.machine.machine import Machine

FILE = "/root/modelgrid.yaml"
GATEWAY = "modelgrid-gateway.service"
CHAT = "modelgrid-model-gemma.service"
EMBED = "modelgrid-model-embedder.service"

#: The weights only go on with a text: a chat becomes one that an answer follows, as in examples/demo. The template has
#: about every character that units give a meaning of its own.
ANSWERS = r"""      chat-template: >-
        {% for message in messages %}{{ 'Answer: ' if message.role == 'assistant' else 'Question: ' }}{{
        message.content }}{{ '\n' }}{% endfor %}Answer:
      reverse-prompt: "Question:"
      temp: 0
      threads: 2
"""

#: A chat model, an embedding model, and a gateway that listens beyond loopback.
BASE = f"""\
version: 1
gateway:
  listen: 0.0.0.0:8080
  keys:
    - {{name: test, sha256: SHA256}}
    - {{name: narrow, sha256: NARROW, models: [embedder]}}
engines:
  llamacpp: {{image: {LLAMA_IMAGE}, entrypoint: /usr/bin/llama-server}}
models:
  gemma:
    engine: llamacpp
    source: {MODEL}
    context: 1024
    aliases: [gpt-4o-mini]
    args: &answers
{ANSWERS}  embedder:
    engine: llamacpp
    task: embed
    source: {MODEL}
    context: 512
    args: {{pooling: mean}}
"""

SECOND = f"""\
  second:
    engine: llamacpp
    source: {MODEL}
    context: 512
    args: *answers
"""


class Grid:
    """Commands of an administrator on *machine*, and clients outside of it."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self._clients: dict[str, OpenAI] = {}
        self.key, digest = new_key()
        self.narrow_key, narrow = new_key()
        self.base = BASE.replace("SHA256", digest).replace("NARROW", narrow)

    def modelgrid(self, *arguments: str, check: bool = True, timeout: float = 300) -> subprocess.CompletedProcess[str]:
        """Run `modelgrid` on the machine as root."""
        return self.machine.run(["modelgrid", *arguments], check=check, timeout=timeout)

    def apply(self, text: str | None = None, *, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Apply *text*, the base configuration when none is given."""
        self.machine.write(FILE, self.base if text is None else text)
        return self.modelgrid("apply", FILE, check=check)

    def plan(self) -> tuple[int, Any]:
        """Return the exit code and the JSON of `plan` for what was applied last."""
        process = self.modelgrid("plan", FILE, "--json", check=False)
        return process.returncode, json.loads(process.stdout)

    def client(self, key: str | None = None) -> OpenAI:
        """Return a client outside the machine. It keeps no connection, so that each request stands for itself."""
        key = key or self.key
        if key not in self._clients:
            self._clients[key] = OpenAI(
                base_url=f"http://{self.machine.address}:8080/v1",
                api_key=key,
                max_retries=0,
                timeout=120,
                default_headers={"connection": "close"},
            )
        return self._clients[key]

    def close(self) -> None:
        """Close the clients."""
        for client in self._clients.values():
            client.close()

    def ask(self, model: str = "gemma", prompt: str = "Name one colour.", *, max_tokens: int = 24) -> str:
        """Return a chat answer."""
        answer = self.client().chat.completions.create(
            model=model, messages=[{"role": "user", "content": prompt}], max_tokens=max_tokens, temperature=0
        )
        return answer.choices[0].message.content or ""

    def properties(self, unit: str, *names: str) -> dict[str, str]:
        """Return properties of *unit* as systemd has them."""
        shown = self.machine.run(["systemctl", "show", unit, *(f"--property={name}" for name in names)]).stdout
        return dict(line.split("=", 1) for line in shown.splitlines())

    def invocations(self, *units: str) -> dict[str, str]:
        """Return what identifies the current run of each unit: it changes with every start."""
        return {unit: self.properties(unit, "InvocationID")["InvocationID"] for unit in units}

    def units(self) -> set[str]:
        """Return every loaded or installed unit with our name."""
        listed = self.machine.run(
            ["systemctl", "list-units", "--all", "--plain", "--no-legend", "modelgrid*"]
        ).stdout.splitlines()
        files = self.machine.run(
            ["systemctl", "list-unit-files", "--plain", "--no-legend", "modelgrid*"], check=False
        ).stdout.splitlines()
        return {line.split()[0] for line in (*listed, *files) if line.strip()}
