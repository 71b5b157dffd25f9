"""Pairs of configurations, each with the exact list of what happens to units on the way from one to the other."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

#: A container on a GPU, programs, replicas, a shared server, one on demand, an engine of one's own.
BASE = """\
version: 1
gateway:
  listen: 127.0.0.1:8080
  max_body: 64MiB
  keys:
    - {name: team, sha256: SHA}
    - {name: other, sha256: OTHER, models: [chat]}
engines:
  mine: {extends: llamacpp, env_native: {MODE: fast}}
servers:
  many: {engine: ollama, gpus: 0}
secrets:
  hub: {podman: hf-token}
models:
  chat: {engine: llamacpp, source: /srv/chat.gguf, context: 4096, vram: 8GiB, gpus: [0],
    aliases: [gpt], fallback: [tool]}
  tool: {engine: llamacpp, runtime: native, source: /srv/tool.gguf, gpus: 0, context: 1024}
  pair: {engine: llamacpp, runtime: native, source: /srv/tool.gguf, gpus: 0, replicas: 2, context: 1024}
  own: {engine: mine, runtime: native, source: /srv/own.gguf, gpus: 0}
  late: {engine: llamacpp, source: /srv/late.gguf, vram: 4GiB, gpus: [1], load: on-demand}
  first: {server: many, source: qwen3:0.6b}
  second: {server: many, source: gemma3:270m}
""".replace("SHA", "5e" * 32).replace("OTHER", "6f" * 32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A change of a configuration: *edits* are texts and what takes their place; *happens* is in the plan's order.

    In brackets is what the gateway sees by itself: a new manifest, and no job of systemd.
    """

    edits: tuple[tuple[str, str], ...]
    happens: tuple[str, ...] = ()

    @property
    def jobs(self) -> list[str]:
        """What systemd does, sorted."""
        return sorted(job for job in self.happens if not job.startswith("("))

    def of(self, text: str) -> str:
        """Return *text* after the change."""
        for old, new in self.edits:
            assert old in text, old
            text = text.replace(old, new, 1)
        return text


def short(unit: str) -> str:
    """Return what these lists call *unit*."""
    return re.sub(r"^modelgrid-(model-)?|\.service$", "", unit)


def listed(plan: Mapping[str, Any]) -> list[str]:
    """Return what *plan*, in JSON, lists, without brackets: it does not say what is no job."""
    return [f"{action['action']} {short(action['unit'])}" for action in plan["actions"]]


def pair(*edits: tuple[str, str], happens: tuple[str, ...] = ()) -> Pair:
    """Make a pair of its edits."""
    return Pair(edits=edits, happens=happens)


PAIRS: dict[str, Pair] = {
    "a comment": pair(("models:\n", "# words\nmodels:\n")),
    "models in another order": pair(
        ("  own: {engine: mine, runtime: native, source: /srv/own.gguf, gpus: 0}\n", ""),
        ("models:\n", "models:\n  own: {engine: mine, runtime: native, source: /srv/own.gguf, gpus: 0}\n"),
    ),
    "another style": pair(("aliases: [gpt]", 'aliases: ["gpt"]')),
    "the same size in other words": pair(("64MiB", "65536KiB")),
    "a default that is written out": pair(("load: on-demand", "load: on-demand, replicas: 1")),
    "an engine that nobody uses": pair(("engines:\n", "engines:\n  spare: {extends: llamacpp}\n")),
    "a secret that nobody uses": pair(("secrets:\n", "secrets:\n  spare: {podman: x}\n")),
    "what a container holds of a GPU": pair(("vram: 8GiB", "vram: 9GiB")),
    "a context": pair(("context: 4096", "context: 8192"), happens=("restart chat",)),
    "parallel requests": pair(("context: 4096", "context: 4096, parallel: 4"), happens=("restart chat",)),
    "an argument": pair(("context: 4096", "context: 4096, args: {cache-type-k: q8_0}"), happens=("restart chat",)),
    "a variable": pair(("context: 4096", "context: 4096, env: {A: b}"), happens=("restart chat",)),
    "an image": pair(
        ("context: 4096", "context: 4096, image: ghcr.io/x/y:2"),
        happens=("start image-y-2-ecb4c85c-image", "restart chat"),
    ),
    "a local image": pair(("context: 4096", "context: 4096, image: localhost/y:2"), happens=("restart chat",)),
    "other weights": pair(("/srv/chat.gguf", "/srv/other.gguf"), happens=("restart chat",)),
    "another GPU": pair(("gpus: [0]", "gpus: [1]"), happens=("restart chat",)),
    "egress": pair(("context: 4096", "context: 4096, egress: true"), happens=("(reload gateway)", "restart chat")),
    "a volume": pair(
        ("context: 4096", "context: 4096, volumes: [{source: cache, target: /cache}]"), happens=("restart chat",)
    ),
    "a secret": pair(("context: 4096", "context: 4096, secrets: {HF_TOKEN: hub}"), happens=("restart chat",)),
    "a key of the quadlet": pair(
        ("context: 4096", "context: 4096, quadlet: {Ulimit: nofile=9}"), happens=("restart chat",)
    ),
    "a key of the unit": pair(("context: 1024", "context: 1024, systemd: {Nice: 5}"), happens=("restart tool",)),
    "a limit of memory": pair(("context: 1024", "context: 1024, resources: {memory: 1GiB}"), happens=("restart tool",)),
    "a longer start": pair(("context: 1024", "context: 1024, start_timeout: 20m"), happens=("restart tool",)),
    "a port": pair(("context: 1024", "context: 1024, port: 9100"), happens=("(reload gateway)", "restart tool")),
    "an alias": pair(("aliases: [gpt]", "aliases: [gpt, gpt-5]"), happens=("(reload gateway)",)),
    "an alias less": pair(("aliases: [gpt], ", ""), happens=("(reload gateway)",)),
    "another fallback": pair(("fallback: [tool]", "fallback: [own]"), happens=("(reload gateway)",)),
    "the largest body": pair(("64MiB", "32MiB"), happens=("(reload gateway)",)),
    "a key": pair(
        ("  keys:\n", "  keys:\n    - {name: new, sha256: " + "7a" * 32 + "}\n"), happens=("reload gateway",)
    ),
    "a key less": pair(
        ("    - {name: other, sha256: " + "6f" * 32 + ", models: [chat]}\n", ""), happens=("reload gateway",)
    ),
    "models of a key": pair(("models: [chat]", "models: [chat, tool]"), happens=("reload gateway",)),
    "the gateway's port": pair(("127.0.0.1:8080", "127.0.0.1:9090"), happens=("restart gateway",)),
    "the gateway's port and a model": pair(
        ("127.0.0.1:8080", "127.0.0.1:9090"), ("4096", "8192"), happens=("restart gateway", "restart chat")
    ),
    "the network": pair(
        ("models:\n", "network: {subnet: 10.9.0.0/16}\nmodels:\n"),
        happens=("stop chat", "stop network", "restart gateway", "start chat", "start network"),
    ),
    "a new program": pair(
        ("models:\n", "models:\n  newer: {engine: llamacpp, runtime: native, source: /srv/n.gguf, gpus: 0}\n"),
        happens=("(reload gateway)", "start newer"),
    ),
    "a new container": pair(
        ("models:\n", "models:\n  newer: {engine: llamacpp, source: /srv/n.gguf, gpus: [0], vram: 1GiB}\n"),
        happens=("(reload gateway)", "start newer"),
    ),
    "a program gone": pair(
        ("  own: {engine: mine, runtime: native, source: /srv/own.gguf, gpus: 0}\n", ""),
        happens=("stop own", "(reload gateway)"),
    ),
    "another name": pair(("  own:", "  mine:"), happens=("stop own", "(reload gateway)", "start mine")),
    "from program to container": pair(
        (
            "runtime: native, source: /srv/tool.gguf, gpus: 0, context",
            "source: /srv/tool.gguf, gpus: [0], vram: 1GiB, context",
        ),
        happens=("stop tool", "(reload gateway)", "start tool"),
    ),
    "one replica more": pair(("replicas: 2", "replicas: 3"), happens=("(reload gateway)", "start pair.3")),
    "one replica less": pair(("replicas: 2", "replicas: 1"), happens=("stop pair.2", "(reload gateway)")),
    "all replicas": pair(
        ("replicas: 2, context: 1024", "replicas: 2, context: 2048"), happens=("restart pair.2", "restart pair")
    ),
    "a model of a shared server": pair(("second:", "third:"), happens=("(reload gateway)",)),
    "one more on a shared server": pair(
        ("  second:", "  third: {server: many, source: tiny}\n  second:"),
        happens=("(reload gateway)", "restart server-many-af7e9e"),
    ),
    "a shared server": pair(
        ("{engine: ollama, gpus: 0}", "{engine: ollama, gpus: 0, parallel: 2}"), happens=("restart server-many-af7e9e",)
    ),
    "what an engine says": pair(("MODE: fast", "MODE: slow"), happens=("restart own",)),
    "one on demand that is down": pair(("vram: 4GiB, gpus: [1]", "vram: 4GiB, gpus: [1], context: 512")),
    "on demand no longer": pair((", load: on-demand", ""), happens=("start late",)),
    "on demand from now on": pair(("gpus: [0]", "gpus: [0], load: on-demand")),
    "by hand": pair(("context: 4096", "context: 8192, on_change: manual")),
    "kept as it is": pair(("context: 4096", "context: 8192, on_change: keep-old")),
    "two models": pair(
        ("context: 4096", "context: 8192"), ("context: 1024", "context: 2048"), happens=("restart chat", "restart tool")
    ),
    "a model and an alias": pair(
        ("context: 4096", "context: 8192"), ("[gpt]", "[gpt-5]"), happens=("(reload gateway)", "restart chat")
    ),
    "one comes and one goes": pair(
        ("  tool:", "  toll:"), ("[tool]", "[toll]"), happens=("stop tool", "(reload gateway)", "start toll")
    ),
}


#: Servers of a second each, for a whole machine: Python's own, whose folder answers every GET.
LIGHT = """\
version: 1
gateway:
  listen: 127.0.0.1:8080
  max_body: 64MiB
  keys:
    - {name: team, sha256: SHA}
engines:
  light: &light
    program: python3
    command: [-m, http.server, --bind, "{host}", "{port}"]
    env_native: {MODE: fast}
    health: {path: /}
    apis: [/v1/chat/completions]
    sources: [name]
  other: *light
models:
  a: {engine: light, runtime: native, source: x, aliases: [gpt]}
  b: {engine: light, runtime: native, source: x, fallback: [a]}
  c: {engine: other, runtime: native, source: x}
  pair: {engine: light, runtime: native, source: x, replicas: 2}
  late: {engine: light, runtime: native, source: x, load: on-demand}
""".replace("SHA", "5e" * 32)

#: Steps from :data:`LIGHT` on, each a change of what the one before left.
STEPS: dict[str, Pair] = {
    "a comment": pair(("models:\n", "# words\nmodels:\n")),
    "another style": pair(("aliases: [gpt]", 'aliases: ["gpt"]')),
    "the same size in other words": pair(("64MiB", "65536KiB")),
    "a variable": pair(("source: x, aliases", "source: x, env: {A: b}, aliases"), happens=("restart a",)),
    "another value of it": pair(("{A: b}", "{A: c}"), happens=("restart a",)),
    "no variable": pair(("env: {A: c}, ", ""), happens=("restart a",)),
    "an argument": pair(("source: x, fallback", "source: x, args: [--cgi], fallback"), happens=("restart b",)),
    "no argument": pair(("args: [--cgi], ", ""), happens=("restart b",)),
    "a key of the unit": pair(
        ("source: x, fallback", "source: x, systemd: {Nice: 5}, fallback"), happens=("restart b",)
    ),
    "another value of the key": pair(("Nice: 5", "Nice: 6"), happens=("restart b",)),
    "a limit of memory": pair(
        ("systemd: {Nice: 6}", "resources: {memory: 1GiB}"),
        happens=("restart b",),
    ),
    "a limit of processors": pair(("{memory: 1GiB}", "{memory: 1GiB, cpus: 1}"), happens=("restart b",)),
    "a longer start": pair(("source: x, aliases", "source: x, start_timeout: 20m, aliases"), happens=("restart a",)),
    "an alias": pair(('["gpt"]', "[gpt, gpt-5]"), happens=("(reload gateway)",)),
    "an alias less": pair(("[gpt, gpt-5]", "[gpt-5]"), happens=("(reload gateway)",)),
    "another fallback": pair(("fallback: [a]", "fallback: [c]"), happens=("(reload gateway)",)),
    "no fallback": pair((", fallback: [c]", ""), happens=("(reload gateway)",)),
    "the largest body": pair(("65536KiB", "32MiB"), happens=("(reload gateway)",)),
    "a key": pair(
        ("  keys:\n", "  keys:\n    - {name: new, sha256: " + "7a" * 32 + "}\n"), happens=("reload gateway",)
    ),
    "models of a key": pair(("{name: new,", "{name: new, models: [a],"), happens=("reload gateway",)),
    "a key less": pair(
        ("    - {name: new, models: [a], sha256: " + "7a" * 32 + "}\n", ""), happens=("reload gateway",)
    ),
    "a key and a model": pair(
        ("  keys:\n", "  keys:\n    - {name: new, sha256: " + "7a" * 32 + "}\n"),
        ("start_timeout: 20m", "start_timeout: 30m"),
        happens=("reload gateway", "restart a"),
    ),
    "a new model": pair(
        ("models:\n", "models:\n  d: {engine: light, runtime: native, source: x}\n"),
        happens=("(reload gateway)", "start d"),
    ),
    "another name": pair(("  d: {", "  e: {"), happens=("stop d", "(reload gateway)", "start e")),
    "a model gone": pair(
        ("  e: {engine: light, runtime: native, source: x}\n", ""), happens=("stop e", "(reload gateway)")
    ),
    "one replica more": pair(("replicas: 2", "replicas: 3"), happens=("(reload gateway)", "start pair.3")),
    "all replicas": pair(
        ("replicas: 3", "replicas: 3, env: {A: b}"), happens=("restart pair.2", "restart pair.3", "restart pair")
    ),
    "two replicas less": pair(
        ("replicas: 3", "replicas: 1"), happens=("stop pair.2", "stop pair.3", "(reload gateway)")
    ),
    "what an engine says": pair(
        ("MODE: fast", "MODE: slow"), happens=("restart a", "restart b", "restart c", "restart pair")
    ),
    "one on demand that is down": pair(("source: x, load", "source: x, env: {A: b}, load")),
    "on demand no longer": pair((", load: on-demand", ""), happens=("start late",)),
    "on demand from now on": pair(("source: x, env: {A: b}}", "source: x, env: {A: b}, load: on-demand}")),
    "one on demand that runs": pair(("env: {A: b}, load", "env: {A: d}, load"), happens=("restart late",)),
    "another engine": pair(("c: {engine: other", "c: {engine: light"), happens=("(reload gateway)",)),
    "two models": pair(
        ("start_timeout: 30m", "start_timeout: 40m"),
        ("cpus: 1}", "cpus: 2}"),
        happens=("restart a", "restart b"),
    ),
    "by hand": pair(("start_timeout: 40m", "start_timeout: 40m, env: {A: b}, on_change: manual")),
    "kept as it is": pair(("cpus: 2}", "cpus: 1}, on_change: keep-old")),
    "a port": pair(("c: {engine: light", "c: {port: 9100, engine: light"), happens=("(reload gateway)", "restart c")),
    "one comes and one goes": pair(("  c: {", "  f: {"), happens=("stop c", "(reload gateway)", "start f")),
    "the gateway's port": pair(("127.0.0.1:8080", "127.0.0.1:9090"), happens=("restart gateway",)),
    "the gateway's port and a model": pair(
        ("127.0.0.1:9090", "127.0.0.1:8080"),
        ("f: {port: 9100", "f: {port: 9200"),
        happens=("restart gateway", "restart f"),
    ),
    "several at once": pair(
        ("  pair:", "  g: {engine: light, runtime: native, source: x}\n  pair:"),
        ("32MiB", "16MiB"),
        ("replicas: 1, env: {A: b}", "replicas: 1, env: {A: c}"),
        happens=("(reload gateway)", "start g", "restart pair"),
    ),
}
