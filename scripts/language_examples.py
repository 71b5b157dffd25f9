"""What is written by hand in docs/language.md: the introduction, and an example for each section."""

from __future__ import annotations

INTRODUCTION = """
`modelgrid.yaml` says which models one host serves. It is YAML without what surprises: every key and value is checked
before anything is done, `yes` and `on` are words and not `true`, a key that is not known is an error. `modelgrid check`
says all that is wrong at once; `modelgrid check --strict` fails on warnings too.

A file needs a version and a model:

```yaml
version: 1

models:
  llama3:8b:
    engine: ollama
```

**Sizes** are a number and a unit: `8GiB`, `512MiB`, `80GB`. **Durations** are like `15m` or `1h30m`. Keys that start
with `x-` are your own: put what several models share there, with an anchor (`x-big: &big`), and take it over with
`<<: *big`.

**Names.** A model's name, the key under `models`, is what clients ask for. Units, ports and addresses follow from it,
so renaming a model makes a new one, and adding one moves no other.

**Secrets** are named, never written down. A variable that ends in `_PATH` or `_FILE` gets the path of a file, and
Hugging Face's Python library reads its token from the file that `HF_TOKEN_PATH` names: that is so for vllm, sglang,
infinity and speaches. tei and tgi take the token itself from a variable, `HF_TOKEN` (tei before 1.7: `HF_API_TOKEN`),
so for them the secret has to be podman's.

**What clients call.** The gateway forwards the paths of OpenAI's API as they are. Reranking has no such path: vllm,
llamacpp and infinity answer at `/v1/rerank`, tei in a form of its own at `/rerank`.
"""

EXAMPLES = {
    "Config": """
version: 1

gateway: {listen: "127.0.0.1:8080"}
network: {subnet: 10.133.0.0/16}
placement: {strategy: binpack}
monitor: {every: 15m}
secrets: {hub: {podman: hf-token}}
engines: {vllm: {env: {VLLM_LOGGING_LEVEL: WARNING}}}
servers: {shared: {engine: ollama}}
models:
  qwen: {engine: vllm, source: "hf://Qwen/Qwen2.5-7B-Instruct", secrets: {HF_TOKEN_PATH: hub}}
  mistral: {server: shared}
""",
    "Target": """
version: 1

target:
  facts: hosts/gpu01.yaml
  podman: "4.9"
  systemd: 255

models:
  llama3:8b: {engine: ollama}
""",
    "Gateway": """
version: 1

gateway:
  listen: 0.0.0.0:8080
  max_body: 16MiB
  hold_time: 2m
  hold_requests: 200
  keys:
    - name: team-a
      sha256: 60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752

models:
  llama3:8b: {engine: ollama}
""",
    "Key": """
version: 1

gateway:
  keys:
    - name: batch
      sha256: fd61a03af4f77d870fc21e05e7e80678095c92d808cfb3b5c279ee04c74aca13
      models: ["llama3*"]

models:
  llama3:8b: {engine: ollama}
""",
    "Greenlist": """
version: 1

greenlist:
  source: https://example.com/greenlist.json
  sha256: 54ef482cc548e9fed06c81f7c47d9246c19c983310fe1fc7ec5c6a0b28e50ee6

models:
  llama3:8b: {engine: ollama}
""",
    "Network": """
version: 1

network:
  subnet: 10.200.0.0/20
  docker_subnet: 10.201.0.0/20

models:
  small: {engine: llamacpp, source: /srv/models/small.gguf}
""",
    "Placement": """
version: 1

placement:
  strategy: spread
  reserve: 1GiB

models:
  small: {engine: llamacpp, source: /srv/models/small.gguf, vram: 4GiB}
""",
    "Monitor": """
version: 1

monitor:
  every: 5m
  metrics: /var/lib/prometheus/node-exporter

models:
  small: {engine: llamacpp, source: /srv/models/small.gguf}
""",
    "Secret": """
version: 1

secrets:
  hub: {podman: hf-token}
  licence: {file: /etc/modelgrid/licence}
  sealed: {encrypted: /etc/credstore.encrypted/sealed}

models:
  gated:
    engine: vllm
    source: hf://meta-llama/Llama-3.1-8B-Instruct
    secrets: {HF_TOKEN_PATH: hub, LICENCE_FILE: licence, KEY_PATH: sealed}
""",
    "Model": """
version: 1

servers:
  shared: {engine: ollama}

models:
  qwen:
    engine: llamacpp
    source: /srv/models/qwen2.5-7b-instruct-q4_k_m.gguf
    aliases: [gpt-4o-mini]
    fallback: [llama3:8b]
  llama3:8b:
    server: shared
  embeddings:
    server: shared
    task: embed
    source: nomic-embed-text
""",
    "Server": """
version: 1

servers:
  router: {engine: llamacpp, context: 8192}

models:
  small: {server: router, source: /srv/models/small.gguf, vram: 3GiB}
  large: {server: router, source: /srv/models/large-00001-of-00002.gguf, vram: 30GiB}
""",
    "Serving": """
version: 1

secrets:
  hub: {podman: hf-token}

models:
  qwen:
    engine: vllm
    source: hf://Qwen/Qwen2.5-7B-Instruct
    runtime: podman
    image: public.ecr.aws/q9t5s3a7/vllm-cpu-release-repo:v0.26.0
    context: 16384
    parallel: 32
    gpus: 0 # or 2, or by name: [GPU-4f7c9a0e-3d52-4b1c-9b38-6f1d2c5a7e10]
    vram: 20GiB
    args: {enable-prefix-caching: true, max-num-batched-tokens: 8192}
    env: {VLLM_LOGGING_LEVEL: WARNING}
    secrets: {HF_TOKEN_PATH: hub}
    egress: true
    start_timeout: 30m
    replicas: 2
    volumes: [{source: /srv/loras, target: /loras}]
    resources: {memory: 64GiB}
    selinux: {type: nvidia_container_t}
    quadlet: {Ulimit: "memlock=-1:-1"}
    systemd: {Nice: 5}
  helper:
    engine: llamacpp
    runtime: native
    source: /srv/models/small.gguf
    port: 9001
    load: on-demand
    on_change: manual
    idle_unload: 15m
""",
    "MountedVolume": """
version: 1

models:
  qwen:
    engine: vllm
    source: /srv/models/qwen
    volumes:
      - {source: /srv/loras, target: /loras, relabel: true}
      - {source: /srv/cache, target: /root/.cache, writable: true} # in place of the engine's own volume
      - {source: a-volume-of-podman, target: /data}
""",
    "Resources": """
version: 1

models:
  small:
    engine: llamacpp
    source: /srv/models/small.gguf
    resources:
      memory: 8GiB
      cpus: 2.5
      tasks: 512
""",
    "Selinux": """
version: 1

models:
  small:
    engine: llamacpp
    source: /srv/models/small.gguf
    selinux: {type: container_t}
  other:
    engine: llamacpp
    source: /srv/models/other.gguf
    selinux: {disable: true}
""",
    "Engine": """
version: 1

engines:
  vllm: # a change to a built-in engine
    images: {cpu-aarch64: registry.example/vllm-arm64:1}
  vllm-nightly: # a built-in engine under another name
    extends: vllm
    image: docker.io/vllm/vllm-openai:nightly
  server: # one of your own
    image: registry.example/server:1.2
    program: /opt/server/bin/server
    image_program: server
    image_command: [serve]
    native_command: [serve, --local]
    port: 9000
    entrypoint: /usr/bin/server
    command: [--weights, "{source}", --name, "{model}", --listen, "{host}:{port}"]
    env: {SERVER_LOG: info}
    env_native: {HOME: "{state}"}
    options: {context: {command: [--context, "{value}"]}}
    vendors: {cpu: {command: [--cpu]}}
    tasks: {embed: {command: [--embed], apis: [/v1/embeddings]}}
    shared: {command: [--all, "{sources}", --names, "{models}"]}
    sources: [path, repository]
    fetches: [repository]
    health: {path: /ready}
    upstream_model: "{model}"
    apis: [/v1/chat/completions]
    after_start: ["{program}", warm, "{model}"]
    volumes: [{name: "server-cache-{slug}", target: /cache}]
    shm_size: 1GiB

models:
  a: {engine: vllm, source: /srv/models/a}
  b: {engine: vllm-nightly, source: /srv/models/b}
  c: {engine: server, source: hf://Org/Model}
  d: {engine: server, source: /srv/models/d, runtime: native}
""",
    "Words": """
version: 1

engines:
  server:
    image: registry.example/server:1.2
    options:
      context: {command: [--context, "{value}"]}
      parallel: {env: {SERVER_SLOTS: "{value}"}}
    vendors:
      amd: {env: {SERVER_BACKEND: rocm}}

models:
  a: {engine: server, source: /srv/models/a, context: 4096, parallel: 4}
""",
    "TaskWords": """
version: 1

engines:
  server:
    image: registry.example/server:1.2
    tasks:
      rerank:
        command: [--rerank]
        env: {SERVER_MODE: rerank}
        apis: [/v1/rerank, /rerank]

models:
  a: {engine: server, source: /srv/models/a, task: rerank}
""",
    "SharedServer": """
version: 1

engines:
  server:
    image: registry.example/server:1.2
    command: [--weights, "{source}"]
    shared:
      command: [--models-dir, /models]
      env: {SERVER_MODELS: "{count}"}
      upstream_model: "{slug}"
      folder: true

servers:
  both: {engine: server}

models:
  a: {server: both, source: /srv/models/a.gguf}
  b: {server: both, source: /srv/models/b.gguf}
""",
    "EngineVolume": """
version: 1

engines:
  server:
    image: registry.example/server:1.2
    volumes:
      - {name: server-library, target: /library}
      - {name: "server-cache-{slug}", target: /cache}

models:
  a: {engine: server, source: /srv/models/a}
""",
    "Health": """
version: 1

engines:
  server:
    image: registry.example/server:1.2
    health:
      path: /ready
      command: curl -fsS -o /dev/null http://127.0.0.1:8000/ready

models:
  a: {engine: server, source: /srv/models/a}
""",
}
