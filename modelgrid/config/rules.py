"""Rules across the fields of a configuration. Each is a function of the Config and yields its faults."""

from __future__ import annotations

from fnmatch import fnmatchcase
from ipaddress import IPv4Network, ip_address
from typing import TYPE_CHECKING, Final

from modelgrid.config.faults import Fault, closest, suggestion, unused
from modelgrid.config.fit import misfits, source_of
from modelgrid.config.schema import OnChange, Runtime
from modelgrid.errors import ConfigError
from modelgrid.ports import split_address

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from modelgrid.config.fit import Abilities
    from modelgrid.config.schema import Config, Engine, Model, Server
    from modelgrid.diagnostics import Path

#: The built-in engine that has nothing to run by itself.
CUSTOM: Final = "custom"

#: Patterns that are compared with every name. More than these only a machine writes.
_MOST_PATTERNS: Final = 200
#: Models that one hint names.
_MOST_MODELS: Final = 5
#: Keys of a quadlet by which its container is reloaded.
_RELOADS: Final = frozenset({"ReloadCmd", "ReloadSignal"})
_SUBNET_SIZES: Final = range(16, 25)


def check_target(config: Config) -> Iterator[Fault]:
    """A target that is given says something."""
    if config.target is not None and not config.target.model_fields_set:
        hint = "name the file of its facts, or its versions of podman and systemd"
        yield Fault(code="MG3029", message="the target says nothing", path=("target",), hint=hint, at_key=True)


def check_names(config: Config, *, declared: Collection[str]) -> Iterator[Fault]:
    """Every name that clients may ask for means one model. *declared*: all models of the file, sound or not."""
    owners: dict[str, str] = {}
    for model, fields in config.models.items():
        for index, alias in enumerate(fields.aliases):
            owner = owners.get(alias)
            if alias == model:
                taken = f'"{alias}" is the name of this model already'
            elif alias in declared:
                taken = f'"{alias}" is the name of another model'
            elif owner is not None:
                taken = f'"{alias}" is an alias of {"this model" if owner == model else owner} already'
            else:
                owners[alias] = model
                continue
            path = ("models", model, "aliases", index)
            yield Fault(code="MG3002", message=taken, path=path, hint="give each name to one model")


def engine_of(config: Config, model: Model) -> str | None:
    """Return the name of the engine that serves *model*, itself or by its server; none where the file says none."""
    if model.server is None:
        return model.engine
    server = config.servers.get(model.server)
    return server.engine if server is not None else None


def serving_of(config: Config, model: Model) -> Model | Server:
    """Return the fields that say how *model* is served: its own, or those of its server."""
    return config.servers.get(model.server, model) if model.server is not None else model


def _engine_uses(config: Config) -> Iterator[tuple[Path, str]]:
    for name, model in config.models.items():
        if model.engine is not None and model.server is None:
            yield ("models", name, "engine"), model.engine
    for name, server in config.servers.items():
        yield ("servers", name, "engine"), server.engine


def check_engines(config: Config, *, builtin: Collection[str], declared: Collection[str]) -> Iterator[Fault]:
    """Every engine that is named exists. *declared*: all engines of the file, sound or not."""
    known = {*builtin, *declared}
    for path, engine in _engine_uses(config):
        if engine not in known:
            match = closest(engine, known)
            hint = (
                f'did you mean "{match}"?'
                if match
                else "declare it under `engines`, or use " + ", ".join(sorted(known))
            )
            yield Fault(code="MG3001", message=f'there is no engine "{engine}"', path=path, hint=hint)
    for name, change in config.engines.items():
        path = ("engines", name, "extends")
        if change.extends is None:
            continue
        if name in builtin:
            hint = "leave it out, or give the engine a name of its own"
            yield Fault(code="MG3028", message=f"{name} is built in and extends nothing", path=path, hint=hint)
        elif change.extends not in builtin:
            hint = suggestion(change.extends, builtin) or "use one of them, or leave it out"
            message = f'no engine "{change.extends}" is built in'
            yield Fault(code="MG3001", message=message, path=path, hint=hint)


def check_fit(config: Config, *, abilities: Callable[[str], Abilities | None]) -> Iterator[Fault]:
    """Every model's engine takes its source and serves its task. *abilities*: those of a built-in engine by name."""
    for name, model in config.models.items():
        engine = engine_of(config, model)
        change = config.engines.get(engine or "")
        if engine is None or (change is not None and (change.sources is not None or change.tasks)):
            continue  # what the configuration says of its engine is for compile to join
        able = abilities(engine)
        if able is None:
            continue
        try:
            source = source_of(name, model, able)
        except ConfigError:
            continue  # reported as what it is
        for misfit in misfits(model, source, able, name=engine):
            path = ("models", name, misfit.field)
            yield Fault(code=misfit.code, message=misfit.message, path=path, hint=misfit.hint)


def check_engine_needs(config: Config, *, builtin: Collection[str]) -> Iterator[Fault]:
    """Every server's engine has something to run."""
    for path, name in _engine_uses(config):
        section, entry, _ = path
        serving: Model | Server = (config.models if section == "models" else config.servers)[str(entry)]
        engine = config.engines.get(name)
        if engine is None and name != CUSTOM:
            continue
        extends = engine.extends if engine is not None else None
        if (name in builtin and name != CUSTOM) or (extends is not None and extends != CUSTOM):
            continue
        if serving.runtime is Runtime.NATIVE:
            missing = "program" if not (engine and engine.program) else ""
        else:
            missing = "image" if not (serving.image or (engine and (engine.image or engine.images))) else ""
        if missing:
            yield Fault(
                code="MG3009",
                message=f"{name} has no {missing} to run",
                path=path,
                hint=f"set `{missing}` under engines.{name}",
            )


def check_ports(config: Config) -> Iterator[Fault]:
    """No two servers want one port of the loopback."""
    owners: dict[int, str] = {}
    host, port = split_address(config.gateway.listen) or ("", 0)
    if host in {"127.0.0.1", "0.0.0.0", "::"}:  # noqa: S104  a comparison
        owners[port] = "the gateway"
    for section, name, serving in servings(config):
        if serving.port is None:
            continue
        path = (section, name, "port")
        owner = owners.setdefault(serving.port, name)
        if owner != name:
            message = f"port {serving.port} is that of {owner} already"
            hint = "choose another, or leave `port` out: a free one is found"
            yield Fault(code="MG3003", message=message, path=path, hint=hint)
        if serving.replicas > 1:
            message = f"{serving.replicas} replicas cannot all listen on port {serving.port}"
            yield Fault(code="MG3027", message=message, path=path, hint="leave `port` out: free ones are found")


def check_listen(config: Config, *, keys: bool) -> Iterator[Fault]:
    """The gateway's address is one, and open to the network only with a key. *keys*: the file has some."""
    listen = config.gateway.listen
    path = ("gateway", "listen")
    split = split_address(listen)
    if split is None:
        hint = "write an IP address, a colon and a port, like 127.0.0.1:8080 or [::]:8080"
        if listen.partition(":")[0] == "localhost":
            hint = f"write 127.0.0.1 for localhost: 127.0.0.1:{listen.partition(':')[2] or '8080'}"
        yield Fault(code="MG3004", message=f'"{listen}" is no address to listen on', path=path, hint=hint)
    elif not keys and not ip_address(split[0]).is_loopback:
        yield Fault(
            code="MG3005",
            message=f"{listen} is open to the network, and no key is asked for",
            path=path,
            hint="make one with `modelgrid key new NAME`, or listen on 127.0.0.1",
        )


def check_keys(config: Config) -> Iterator[Fault]:
    """Every API key has a name and a hash of its own."""
    for field, what in (("name", "name"), ("sha256", "hash")):
        seen: set[str] = set()
        for index, key in enumerate(config.gateway.keys):
            value = getattr(key, field)
            if value in seen:
                message = f"another key has this {what} already"
                hint = (
                    "name each key after its client" if field == "name" else "make a new key with `modelgrid key new`"
                )
                yield Fault(code="MG3006", message=message, path=("gateway", "keys", index, field), hint=hint)
            seen.add(value)


def check_subnets(config: Config) -> Iterator[Fault]:
    """Each subnet is an IPv4 network that has room for models, and they are apart."""
    networks: list[IPv4Network] = []
    for field in ("subnet", "docker_subnet"):
        text, path = getattr(config.network, field), ("network", field)
        try:
            network = IPv4Network(text, strict=False)
        except ValueError:
            hint = "write it like 10.133.0.0/16"
            yield Fault(code="MG3014", message=f'"{text}" is no IPv4 subnet', path=path, hint=hint)
            continue
        if "/" not in text or network.prefixlen not in _SUBNET_SIZES:
            hint = "write it like 10.133.0.0/16"
            yield Fault(code="MG3014", message=f"{text} is not from /16 to /24", path=path, hint=hint)
        elif str(network) != text:
            yield Fault(code="MG3014", message=f"{text} is an address in a subnet", path=path, hint=f"write {network}")
        elif any(network.overlaps(other) for other in networks):
            hint = "give podman and Docker a subnet each"
            yield Fault(code="MG3014", message=f"{text} overlaps the other subnet", path=path, hint=hint)
        else:
            networks.append(network)


def check_images(config: Config) -> Iterator[Fault]:
    """Every image says which registry it is from."""
    for path, image in _images(config):
        registry, _, name = image.partition("/")
        if image.strip(_IMAGE_CHARACTERS) or image.startswith("-"):
            yield Fault(code="MG3011", message=f'"{image}" is no image', path=path, hint="write REGISTRY/NAME:TAG")
        elif not name or not ("." in registry or ":" in registry or registry == "localhost"):
            full = f"docker.io/{image}" if name else f"docker.io/library/{image}"
            hint = f"write {full}, or the registry that it is from"
            yield Fault(code="MG3011", message=f"{image} names no registry", path=path, hint=hint)


_IMAGE_CHARACTERS: Final = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/:@+"


def _images(config: Config) -> Iterator[tuple[Path, str]]:
    for section, name, entry in _entries(config):
        if entry.image is not None:
            yield (section, name, "image"), entry.image
    for name, engine in config.engines.items():
        for vendor, image in engine.images.items():
            yield ("engines", name, "images", vendor), image


def servings(config: Config) -> Iterator[tuple[str, str, Model | Server]]:
    """Yield section, name and fields of everything that says how a server runs."""
    for name, model in config.models.items():
        yield "models", name, model
    for name, server in config.servers.items():
        yield "servers", name, server


def _entries(config: Config) -> Iterator[tuple[str, str, Engine | Model | Server]]:
    for name, engine in config.engines.items():
        yield "engines", name, engine
    yield from servings(config)


def _variables(config: Config) -> Iterator[Path]:
    """Yield the path of every variable that the file sets."""
    for section, name, serving in servings(config):
        yield from ((section, name, "env", variable) for variable in serving.env)
        yield from ((section, name, "secrets", variable) for variable in serving.secrets)
    for name, engine in config.engines.items():
        own: Path = ("engines", name)
        yield from ((*own, "env", variable) for variable in engine.env)
        yield from ((*own, "env_native", variable) for variable in engine.env_native)
        for field, entries in (("options", engine.options), ("vendors", engine.vendors), ("tasks", engine.tasks)):
            for key, words in entries.items():
                yield from ((*own, field, str(key), "env", variable) for variable in words.env)
        if engine.shared is not None:
            yield from ((*own, "shared", "env", variable) for variable in engine.shared.env)


def check_environment(config: Config) -> Iterator[Fault]:
    """Variables have names that systemd and podman take, and load no code."""
    for path in _variables(config):
        variable = str(path[-1])
        letters = variable.replace("_", "a")
        if variable.startswith("LD_"):
            message = f"{variable} loads code into every program that the server starts"
            hint = "build the library into the image"
            yield Fault(code="MG3012", message=message, path=path, hint=hint, at_key=True)
        elif not (letters.isascii() and letters.isalnum()) or letters[0].isdigit():
            yield Fault(
                code="MG3013",
                message=f'"{variable}" is no name of a variable',
                path=path,
                hint="use letters, digits and _, with no digit first",
                at_key=True,
            )


def check_gpus(config: Config) -> Iterator[Fault]:
    """No server names a GPU twice."""
    for section, name, serving in servings(config):
        if isinstance(serving.gpus, list):
            seen: set[int | str] = set()
            for index, gpu in enumerate(serving.gpus):
                if gpu in seen:
                    path = (section, name, "gpus", index)
                    yield Fault(code="MG3015", message=f"GPU {gpu} is in the list already", path=path, hint="remove it")
                seen.add(gpu)


def check_reload(config: Config) -> Iterator[Fault]:
    """What is to be reloaded says how."""
    for section, name, serving in servings(config):
        if serving.on_change is OnChange.RELOAD and not serving.quadlet.keys() & _RELOADS:
            podman = serving.runtime is Runtime.PODMAN
            hint = (
                "write `ReloadSignal` or `ReloadCmd` under `quadlet`" if podman else "only podman's containers have it"
            )
            path = (section, name, "on_change")
            yield Fault(code="MG3050", message="it has nothing to be reloaded by", path=path, hint=hint)


def check_use(config: Config) -> Iterator[Fault]:
    """Warn of what has no effect: engines that no model names, patterns of keys that open no model."""
    used = {engine for _, engine in _engine_uses(config)}
    for engine in config.engines:
        if engine not in used:
            yield unused(("engines", engine), f"no model uses the engine {engine}")
    # the gateway matches a pattern with the name of the model that an alias stands for, never with the alias
    names = config.models.keys()
    matching: dict[str, bool] = dict.fromkeys(names, True)
    for index, key in enumerate(config.gateway.keys):
        for place, pattern in enumerate(key.models):
            if pattern not in matching and len(matching) <= len(names) + _MOST_PATTERNS:
                matching[pattern] = any(fnmatchcase(name, pattern) for name in names)
            if names and not matching.get(pattern, True):
                yield Fault(
                    code="MG3016",
                    message=f'"{pattern}" matches no model',
                    path=("gateway", "keys", index, "models", place),
                    hint=_behind_aliases(config, pattern) or suggestion(pattern, names),
                    warning=True,
                )


def _behind_aliases(config: Config, pattern: str) -> str | None:
    """Return the hint that names the models whose aliases *pattern* matches; none where it matches no alias."""
    models = [
        name for name, model in config.models.items() if any(fnmatchcase(alias, pattern) for alias in model.aliases)
    ]
    if not models:
        return None
    shown = [f'"{name}"' for name in models[:_MOST_MODELS]]
    return f"keys go by the names of models, not by aliases: write {' and '.join(shown)}"
