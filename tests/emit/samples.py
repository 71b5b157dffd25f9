"""Deployments that the tests of emitting start from."""

from __future__ import annotations

from dataclasses import replace

from modelgrid.ir import (
    ApiKey,
    Container,
    Deployment,
    Endpoint,
    GatewayService,
    GpuClaim,
    Health,
    Isolated,
    Manager,
    ModelRoute,
    ModelServer,
    Monitor,
    Mount,
    Network,
    Origin,
    Process,
    Published,
    Resources,
    Scope,
    TargetGpu,
    Volume,
)

PYTHON = "/opt/modelgrid/bin/python"

#: Programs that `systemd-analyze verify` wants to find on the host of a sample.
PROGRAMS = (PYTHON, "/usr/local/bin/llama-server", "/usr/bin/docker")

GATEWAY = GatewayService(
    listen=Endpoint(host="127.0.0.1", port=8080),
    python=PYTHON,
    keys=(ApiKey(name="team-a", sha256="5e" * 32, models=("llama3*",)),),
    max_body=64 * 1024**2,
    hold_time=300.0,
    hold_requests=1000,
    origin=Origin(path="$.gateway"),
)

MONITOR = Monitor(every=900.0, metrics="/var/lib/node exporter/", python=PYTHON, origin=Origin(path="$.monitor"))

GPU = TargetGpu(uuid="GPU-aaaa", index=0, name="NVIDIA L4", memory=24 * 1024**3, reserve=1024**3)

ISOLATED_LAUNCH = Container(
    image="ghcr.io/ggml-org/llama.cpp:server-cuda",
    pull=True,
    entrypoint="/app/llama-server",
    arguments=("--model", "/models/llama3 8b.gguf", "--chat-template", "{%if x%}$y;{%end%}", "--port", "8080"),
    port=8080,
    attachment=Isolated(address="10.133.7.9"),
    mounts=(Mount(source="/srv/models/llama3.gguf", target="/models/llama3.gguf"),),
    devices=("nvidia.com/gpu=GPU-aaaa",),
    health_command="curl -fsS -o /dev/null http://127.0.0.1:8080/health",
)

PUBLISHED_LAUNCH = Container(
    image="docker.io/ollama/ollama:0.17.1",
    pull=True,
    arguments=("serve",),
    port=11434,
    attachment=Published(port=20001),
    volumes=(Volume(name="modelgrid-ollama", target="/root/.ollama"),),
    shm_size=1024**3,
    after_start=(("sh", "-c", 'ollama show "$0" >/dev/null 2>&1 || ollama pull "$0"', "qwen3:4b"),),
    fetches=True,
    writable=True,
)

NATIVE_LAUNCH = Process(
    argv=("/usr/local/bin/llama-server", "--model", "/srv/models/100% $mall.gguf", "--tag", "", ";"),
    devices=("char-nvidia*",),
    state_directory="modelgrid/small",
    after_start=(("sh", "-c", "echo ready; exit 0"),),
)

ISOLATED = ModelServer(
    name="llama3:8b",
    slug="llama3-8b-aaaaaa",
    engine="llamacpp",
    models=("llama3:8b",),
    launch=ISOLATED_LAUNCH,
    endpoint=Endpoint(host="10.133.7.9", port=8080),
    health=Health(path="/health", start_timeout=600.0),
    environment=(("GREETING", "50% off: $HOME 'x' \"y\" \\n"), ("LLAMA_ARG_THREADS", "8")),
    claims=(GpuClaim(uuid="GPU-aaaa", memory=8 * 1024**3, held=9 * 1024**3),),
    origin=Origin(path='$.models["llama3:8b"]'),
)

PUBLISHED = ModelServer(
    name="qwen",
    slug="qwen",
    engine="ollama",
    models=("qwen",),
    launch=PUBLISHED_LAUNCH,
    endpoint=Endpoint(host="127.0.0.1", port=20001),
    health=Health(path="/api/version", start_timeout=900.5, interval=10.0),
    environment=(("OLLAMA_HOST", "0.0.0.0:11434"),),
    stop_timeout=12.5,
    origin=Origin(path="$.models.qwen"),
)

#: The same by a plain service: in Docker, and in a podman without a generator of units.
DOCKER = replace(
    ISOLATED,
    name="docked",
    slug="docked",
    models=("docked",),
    launch=replace(ISOLATED_LAUNCH, manager=Manager.DOCKER, attachment=Isolated(address="10.134.7.9")),
    endpoint=Endpoint(host="10.134.7.9", port=8080),
    resources=Resources(memory=2**30, cpus=1.5, tasks=100),
)
PLAIN = replace(
    PUBLISHED,
    name="plain",
    slug="plain",
    models=("plain",),
    launch=replace(PUBLISHED_LAUNCH, manager=Manager.PODMAN, health_command="ollama list"),
)

NATIVE = ModelServer(
    name="small",
    slug="small",
    engine="llamacpp",
    models=("small",),
    launch=NATIVE_LAUNCH,
    endpoint=Endpoint(host="127.0.0.1", port=20002),
    health=Health(path="/health", start_timeout=120.0),
    environment=(("HOME", "/var/lib/modelgrid/small"), ("PRICE", "5$ or 10%")),
    origin=Origin(path="$.models.small"),
)


def route(server: ModelServer, *, upstream_model: str = "", aliases: tuple[str, ...] = ()) -> ModelRoute:
    """The route to the one model of *server*."""
    return ModelRoute(
        name=server.name,
        engine=server.engine,
        aliases=aliases,
        upstream_model=upstream_model or server.name,
        apis=("/v1/chat/completions", "/v1/completions"),
        endpoints=(server.endpoint,),
        health_path=server.health.path,
    )


ROUTES = (route(ISOLATED, aliases=("gpt-4o",)), route(PUBLISHED, upstream_model="qwen3:4b"), route(NATIVE))

#: A host with a model of every kind.
FULL = Deployment(
    scope=Scope.SYSTEM,
    gateway=GATEWAY,
    servers=(ISOLATED, PUBLISHED, NATIVE),
    routes=ROUTES,
    networks=(Network(subnet="10.133.0.0/16", gateway="10.133.0.1"),),
    podman=(5, 4, 2),
    systemd=257,
    gpus=(GPU,),
)

#: What runs by plain services, on hosts that have no quadlet.
PLAIN_HOST = replace(
    FULL,
    servers=(DOCKER, PLAIN),
    routes=(route(DOCKER), route(PLAIN)),
    networks=(Network(manager=Manager.DOCKER, subnet="10.134.0.0/16", gateway="10.134.0.1"),),
    podman=(4, 3, 1),
)

#: A gateway and nothing behind it.
EMPTY = Deployment(scope=Scope.SYSTEM, gateway=GATEWAY, systemd=257)

#: The same of a user, who has no internal network.
USER = replace(FULL, scope=Scope.USER, servers=(PUBLISHED, NATIVE), routes=ROUTES[1:], networks=())

#: Open to the network, on a port that takes a capability, Python in a home folder; an odd path to the weights and an
#: image that is on the host already; devices of another vendor.
OPEN = replace(
    FULL,
    gateway=replace(GATEWAY, listen=Endpoint(host="::", port=443), python="/home/ai/venv/bin/python"),
    routes=(ROUTES[0], ROUTES[2]),
    servers=(
        replace(
            ISOLATED,
            launch=replace(
                ISOLATED_LAUNCH,
                image="localhost/llama:1",
                pull=False,
                mounts=(Mount(source="/srv/my models/a:b$c,d'e.gguf", target="/models/a:b$c,d'e.gguf"),),
                health_command="",
            ),
        ),
        replace(NATIVE, launch=replace(NATIVE_LAUNCH, devices=("/dev/kfd", "char-drm"), egress=True)),
    ),
)

#: On a systemd that has no growing pauses between restarts.
OLD_SYSTEMD = replace(FULL, systemd=252)

#: Somebody looks for drift. No form but the tree has that.
MONITORED = replace(FULL, monitor=MONITOR)

ALL = {"full": FULL, "empty": EMPTY, "user": USER, "open": OPEN, "old-systemd": OLD_SYSTEMD, "plain": PLAIN_HOST}


def with_model(model: ModelServer) -> Deployment:
    """FULL, with *model* instead of the one of its slug."""
    others = [other for other in FULL.servers if other.slug != model.slug]
    return replace(FULL, servers=(model, *others))


def isolated(launch: Container) -> Deployment:
    """FULL, with *launch* for ISOLATED."""
    return with_model(replace(ISOLATED, launch=launch))


def published(launch: Container) -> Deployment:
    """FULL, with *launch* for PUBLISHED."""
    return with_model(replace(PUBLISHED, launch=launch))


def process(launch: Process) -> Deployment:
    """FULL, with *launch* for NATIVE."""
    return with_model(replace(NATIVE, launch=launch))
