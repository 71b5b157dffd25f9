"""Compiles a configuration: pairs models with engines, gives them GPUs and addresses, resolves every default."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from modelgrid.compile.addresses import NoRoomError, assign_addresses, assign_ports
from modelgrid.compile.engines import resolve_engines
from modelgrid.compile.ignored import ignored_fields
from modelgrid.compile.names import slug
from modelgrid.compile.placement import FaultKind, GpuRequest, Placement, place
from modelgrid.compile.servers import Place, ServerError, Target, Wanted, build_server, wanted
from modelgrid.diagnostics import Diagnostic, Location, Path, Report, Severity, format_path
from modelgrid.ir import (
    ApiKey,
    Deployment,
    Endpoint,
    GatewayService,
    Health,
    ModelService,
    Network,
    Origin,
)
from modelgrid.ports import split_address

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import PurePath

    from modelgrid.config.schema import Config
    from modelgrid.engines.builtin import Engine
    from modelgrid.host.facts import HostFacts
    from modelgrid.ir import Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What compiling depends on beside the configuration.

    Attributes:
        facts: the target host.
        scope: whose systemd shall own the units.
        engines: the built-in engines by name.
        base: folder that relative paths of the configuration start from, absolute.
        cache: folder where weights that a Python package carries are unpacked, absolute.
        state_root: folder below which native servers keep state, absolute; /var/lib for the system.
        locate: the place in the text of a path of the configuration.
        foreign: whether the facts are of another host, where *base* does not exist: sources must be absolute.
    """

    facts: HostFacts
    scope: Scope
    engines: Mapping[str, Engine]
    base: PurePath
    cache: PurePath
    state_root: PurePath
    locate: Callable[[Path], Location | None]
    foreign: bool = False


def compile_config(config: Config, context: Context) -> tuple[Deployment | None, Report]:
    """Return the Deployment of *config* on the host of *context*; none when the report holds an error.

    The same arguments give an equal Deployment: nothing else is read. All faults are collected.
    """
    run = _Compiler(config, context)
    wants = run.pair()
    run.warn(wants)
    placement = run.place(wants)
    endpoints = run.address(wants)
    models = run.build(wants, placement, endpoints)
    report = Report.of(run.diagnostics)
    if report.errors:
        return None, report
    return run.deployment(models), report


class _Compiler:
    """The steps of one run. Each reports its faults and goes on with what is sound."""

    def __init__(self, config: Config, context: Context) -> None:
        self.config = config
        self.context = context
        self.diagnostics: list[Diagnostic] = []

    def pair(self) -> dict[str, Wanted]:
        """Pair each model with its engine, in the order of the file."""
        engines = resolve_engines(self.context.engines, self.config.engines)
        target = Target(facts=self.context.facts, scope=self.context.scope, foreign=self.context.foreign)
        wants: dict[str, Wanted] = {}
        by_slug: dict[str, str] = {}
        for name, model in self.config.models.items():
            other = by_slug.setdefault(slug(name), name)
            if other != name:
                self._fault("MG4003", f"{name} and {other} get the same unit name", ("models", name))
                continue
            try:
                wants[name] = wanted(
                    name,
                    slug(name),
                    model,
                    engines[model.engine],
                    target,
                )
            except ServerError as fault:
                self._server_fault(name, fault)
        return wants

    def warn(self, wants: Mapping[str, Wanted]) -> None:
        """Warn of every field that its engine or runtime ignores."""
        for item in ignored_fields(self.config, wants):
            self._fault("MG4007", item.message, item.path, hint=item.hint, severity=Severity.WARNING)

    def place(self, wants: Mapping[str, Wanted]) -> Placement:
        """Give the models their GPUs."""
        gpus = self.context.facts.gpus
        requests = []
        for name, want in wants.items():
            asked, shares = want.model.gpus, "memory_share" in want.engine.options
            if isinstance(asked, list):
                requests.append(
                    GpuRequest(model=name, count=len(asked), pins=tuple(asked), memory=want.model.vram, shares=shares)
                )
            elif count := min(1, len(gpus)) if asked is None else asked:
                requests.append(GpuRequest(model=name, count=count, memory=want.model.vram, shares=shares))
        placement = place([request for request in requests if request.count], gpus)
        for fault in placement.faults:
            code, field, hint = _PLACEMENT_FAULTS[fault.kind]
            self._fault(code, fault.message, ("models", fault.model, field), hint=hint)
        return placement

    def address(self, wants: Mapping[str, Wanted]) -> Mapping[str, Endpoint]:
        """Say where each server is reached: at an address of its own, or at a port of the loopback."""
        isolated = [name for name, want in wants.items() if want.isolated]
        explicit = {
            name: want.model.port for name, want in wants.items() if want.model.port is not None and not want.isolated
        }
        free = [name for name, want in wants.items() if not want.isolated and name not in explicit]
        taken = {*explicit.values(), _listen(self.config.gateway.listen).port}
        try:
            ports = explicit | assign_ports(free, taken)
            addresses = assign_addresses(isolated, self.config.network.subnet)
        except NoRoomError as error:
            self._fault("MG4004", f"too many models: {error}", ("network",), hint="use a larger subnet")
            return {}
        endpoints = {name: Endpoint(host="127.0.0.1", port=port) for name, port in ports.items()}
        for name, address in addresses.items():
            endpoints[name] = Endpoint(host=address, port=wants[name].engine.port)
        return endpoints

    def build(
        self, wants: Mapping[str, Wanted], placement: Placement, endpoints: Mapping[str, Endpoint]
    ) -> tuple[ModelService, ...]:
        """Resolve each model that has a place into its service, sorted by name."""
        models = []
        for name in sorted(wants.keys() & endpoints.keys()):
            try:
                models.append(self._model(wants[name], placement, endpoints[name]))
            except ServerError as fault:
                self._server_fault(name, fault)
        return tuple(models)

    def deployment(self, models: tuple[ModelService, ...]) -> Deployment:
        """Put the parts together."""
        context, gateway = self.context, self.config.gateway
        isolated = any(model.isolated for model in models)
        keys = [ApiKey(name=key.name, sha256=key.sha256, models=tuple(key.models)) for key in gateway.keys]
        subnet = IPv4Network(self.config.network.subnet)
        return Deployment(
            scope=context.scope,
            gateway=GatewayService(
                listen=_listen(gateway.listen),
                python=context.facts.python,
                keys=tuple(sorted(keys, key=lambda key: key.name)),
                max_body=gateway.max_body,
                origin=self._origin(("gateway",)),
            ),
            models=models,
            network=Network(subnet=str(subnet), gateway=str(subnet[1])) if isolated else None,
            podman=context.facts.podman or (),
            systemd=context.facts.systemd or 0,
        )

    def _model(self, want: Wanted, placement: Placement, endpoint: Endpoint) -> ModelService:
        context, model, engine = self.context, want.model, want.engine
        claims = placement.claims.get(want.name, ())
        by_uuid = {gpu.uuid: gpu for gpu in context.facts.gpus}
        server = build_server(
            want,
            Place(
                endpoint=endpoint,
                gpus=tuple(by_uuid[claim.uuid] for claim in claims),
                claim=claims[0].memory if claims else 0,
                facts=context.facts,
                base=PurePosixPath("/") if context.foreign else context.base,
                cache=context.cache,
                state=context.state_root / "modelgrid" / want.slug,
            ),
        )
        return ModelService(
            name=want.name,
            slug=want.slug,
            engine=engine.name,
            aliases=tuple(sorted(model.aliases)),
            upstream_model=server.upstream_model,
            launch=server.launch,
            endpoint=endpoint,
            health=Health(path=engine.health.path, start_timeout=model.start_timeout),
            apis=tuple(sorted(engine.tasks[model.task.value].apis)),
            environment=server.environment,
            claims=claims,
            origin=self._origin(("models", want.name)),
        )

    def _origin(self, path: Path) -> Origin:
        return Origin(path=format_path(path), location=self.context.locate(path))

    def _server_fault(self, name: str, fault: ServerError) -> None:
        self._fault(fault.code, fault.message, ("models", name, fault.field), hint=fault.hint)

    def _fault(
        self,
        code: str,
        message: str,
        path: Path,
        *,
        hint: str | None = None,
        severity: Severity = Severity.ERROR,
    ) -> None:
        location = self.context.locate(path)
        self.diagnostics.append(
            Diagnostic(code=code, message=message, path=path, location=location, hint=hint, severity=severity)
        )


#: Code, field and hint of each kind of fault that placement finds.
_PLACEMENT_FAULTS = {
    FaultKind.NO_ROOM: ("MG4001", "vram", "take a smaller model, or give it another GPU"),
    FaultKind.UNKNOWN_GPU: ("MG4002", "gpus", "`modelgrid gpu list` shows the GPUs of this host"),
    FaultKind.UNDECIDED: ("MG4020", "vram", "pin the largest models with `gpus`, which leaves less to search"),
    FaultKind.UNEQUAL: ("MG4021", "gpus", "name GPUs with the same name and memory, or ask for fewer"),
}


def _listen(text: str) -> Endpoint:
    """Read the gateway's ``listen``, which ``check`` has found to be well formed."""
    address = split_address(text)
    assert address is not None, text
    return Endpoint(host=address[0], port=address[1])
