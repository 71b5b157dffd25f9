"""Compiles a configuration: pairs models with engines, gives them GPUs and addresses, resolves every default."""

from __future__ import annotations

from dataclasses import dataclass, replace
from ipaddress import IPv4Network
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from modelgrid.compile.addresses import NoRoomError, assign_addresses, assign_ports
from modelgrid.compile.context import Compilation, Context
from modelgrid.compile.engines import resolve_engines
from modelgrid.compile.ignored import ignored_fields
from modelgrid.compile.names import slug
from modelgrid.compile.origins import origins_of
from modelgrid.compile.placement import FaultKind, Placement, Strategy, place
from modelgrid.compile.replicas import Replica, gpu_request, replicas
from modelgrid.compile.servers import Place, build_server
from modelgrid.compile.settings import settings_of
from modelgrid.compile.wanted import ServerError, Target, WantedModel, wanted_model, wanted_server
from modelgrid.config.schema import Load
from modelgrid.diagnostics import Diagnostic, Path, Report, Severity, format_path
from modelgrid.ir import (
    ApiKey,
    Container,
    Deployment,
    Endpoint,
    GatewayService,
    Health,
    Manager,
    ModelRoute,
    ModelServer,
    Monitor,
    Network,
    OnChange,
    Origin,
    Resources,
    TargetGpu,
    unit_of,
)
from modelgrid.ports import split_address

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from modelgrid.compile.placement import GpuUse
    from modelgrid.config.schema import Config
    from modelgrid.engines.builtin import Engine
    from modelgrid.ir import UnitValues


def compile_config(config: Config, context: Context) -> Compilation:
    """Compile *config* for the host of *context*.

    The same arguments give an equal Deployment: nothing else is read. All faults are collected.
    """
    run = _Compiler(config, context)
    wants = run.pair()
    run.warn(wants)
    placement = run.place(wants)
    endpoints = run.address(wants)
    built = run.build(wants, placement, endpoints)
    report = Report.of(run.diagnostics)
    if report.errors:
        return Compilation(None, report, placement.gpus)
    return Compilation(run.deployment(built, placement), report, placement.gpus)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Result:
    servers: tuple[ModelServer, ...]
    routes: tuple[ModelRoute, ...]


class _Compiler:
    """The steps of one run. Each reports its faults and goes on with what is sound."""

    def __init__(self, config: Config, context: Context) -> None:
        self.config = config
        self.context = context
        self.diagnostics: list[Diagnostic] = []
        self.target = Target(facts=context.facts, scope=context.scope, foreign=context.foreign)
        self.engines = resolve_engines(context.engines, config.engines)
        self.slugs: dict[str, str] = {}
        self.replicas: dict[str, Replica] = {}

    def pair(self) -> tuple[Replica, ...]:
        """Pair each model or shared server with its engine, in the order of the file."""
        shared: dict[str, list[WantedModel]] = {name: [] for name in self.config.servers}
        found: list[Replica] = []
        for name, model in self.config.models.items():
            own = model.server is None
            engine = self.engines[(model.engine or "") if own else self.config.servers[model.server or ""].engine]
            try:
                wanted = wanted_model(name, self._slug(name, ("models", name)), model, engine, self.target)
                if own:
                    want = wanted_server(name, wanted.slug, model, engine, (wanted,), self.target, shared=False)
                    found += replicas(want)
                else:
                    shared[model.server or ""].append(wanted)
            except ServerError as fault:
                self._server_fault(fault)
        for name, models in shared.items():
            server = self.config.servers[name]
            try:
                slug_ = self._slug(f"server/{name}", ("servers", name))
                if models:
                    want = wanted_server(
                        name, slug_, server, self.engines[server.engine], tuple(models), self.target, shared=True
                    )
                    found += replicas(want)
            except ServerError as fault:
                self._server_fault(fault)
        self.replicas = {item.name: item for item in found}
        return tuple(found)

    def _slug(self, name: str, path: Path) -> str:
        other = self.slugs.setdefault(slug(name), name)
        if other != name:
            hint = "give one of them another name"
            raise ServerError("MG4003", f"{name} and {other} get the same unit name", path, hint)
        return slug(name)

    def warn(self, replicas: Sequence[Replica]) -> None:
        """Warn of every field that its engine or runtime ignores, and of engines that should be left."""
        wants = {item.name: item.want for item in replicas if item.number == 1}
        for ignored in ignored_fields(self.config, wants):
            self._fault("MG4007", ignored.message, ignored.path, hint=ignored.hint, severity=Severity.WARNING)
        for want in wants.values():
            if want.engine.legacy:
                hint = "choose another engine for it"
                self._fault("MG4009", want.engine.legacy, (*want.path, "engine"), hint=hint, severity=Severity.WARNING)

    def place(self, replicas: Sequence[Replica]) -> Placement:
        """Give the servers their GPUs."""
        gpus = self.context.facts.gpus
        estimate = self.context.estimate
        asked = (gpu_request(item, gpus=len(gpus), estimate=estimate) for item in replicas)
        requests = [request for request in asked if request.count]
        settings = self.config.placement
        placement = place(requests, gpus, strategy=Strategy(settings.strategy.value), reserve=settings.reserve)
        paths = {item.name: item.want.path for item in replicas}
        estimated = {request.model for request in requests if request.estimated}
        for fault in placement.faults:
            code, field, hint = _PLACEMENT_FAULTS[fault.kind]
            if fault.kind is FaultKind.NO_ROOM and fault.model in estimated:
                hint = _ESTIMATED_HINT
            self._fault(code, fault.message, (*paths[fault.model], field), hint=hint)
        shared = [use.rows for use in placement.gpus if len(use.rows) > 1]
        unknown = {row.model for rows in shared for row in rows if row.memory is None}
        for name in sorted(unknown):
            message = (
                f"it is not known how much {name} takes of a GPU that it shares, so nothing is proven for that GPU"
            )
            hint = "say so with `vram`; of weights on this host, or in a lock file, it is estimated"
            self._fault("MG4022", message, paths[name], hint=hint, severity=Severity.WARNING)
        return placement

    def address(self, replicas: Sequence[Replica]) -> Mapping[str, Endpoint]:
        """Say where each server is reached: at an address of its own, or at a port of the loopback."""
        isolated: dict[str, list[str]] = {}
        for item in replicas:
            if item.want.isolated and item.want.manager is not None:
                isolated.setdefault(self._subnet(item.want.manager), []).append(item.name)
        explicit = {
            item.name: item.want.serving.port
            for item in replicas
            if item.want.serving.port is not None and not item.want.isolated
        }
        free = [item.name for item in replicas if not item.want.isolated and item.name not in explicit]
        taken = {*explicit.values(), _listen(self.config.gateway.listen).port}
        try:
            ports = explicit | assign_ports(free, taken)
            addresses: dict[str, str] = {}
            for subnet, names in isolated.items():
                addresses |= assign_addresses(names, subnet)
        except NoRoomError as error:
            self._fault("MG4004", f"too many models: {error}", ("network",), hint="use a larger subnet")
            return {}
        endpoints = {name: Endpoint(host="127.0.0.1", port=port) for name, port in ports.items()}
        by_name = {item.name: item for item in replicas}
        for name, address in addresses.items():
            endpoints[name] = Endpoint(host=address, port=by_name[name].want.engine.port)
        return endpoints

    def build(self, replicas: Sequence[Replica], placement: Placement, endpoints: Mapping[str, Endpoint]) -> _Result:
        """Resolve each server that has a place, and each model into the route to its servers; sorted by name."""
        servers: list[ModelServer] = []
        routes: dict[str, ModelRoute] = {}
        unplaced = {fault.model for fault in placement.faults}
        for item in replicas:
            if item.name not in endpoints:
                continue
            try:
                server, upstream_models = self._server(item, placement, endpoints[item.name])
            except ServerError as fault:
                # one that got no GPU would be said to lack an image for hosts without
                if item.number == 1 and not (item.name in unplaced and fault.path[-1] == "engine"):
                    self._server_fault(fault)
                continue
            servers.append(server)
            for model in item.want.models:
                known = routes.get(model.name)
                routes[model.name] = (
                    replace(known, endpoints=(*known.endpoints, server.endpoint))
                    if known
                    else _route(model, item.want.engine, upstream_models[model.name], server)
                )
        return _Result(
            servers=tuple(sorted(servers, key=lambda server: (server.name, server.slug))),
            routes=tuple(routes[name] for name in sorted(routes)),
        )

    def deployment(self, built: _Result, placement: Placement) -> Deployment:
        """Put the parts together."""
        context, gateway = self.context, self.config.gateway
        keys = [ApiKey(name=key.name, sha256=key.sha256, models=tuple(key.models)) for key in gateway.keys]
        return Deployment(
            scope=context.scope,
            gateway=GatewayService(
                listen=_listen(gateway.listen),
                python=context.facts.python,
                keys=tuple(sorted(keys, key=lambda key: key.name)),
                max_body=gateway.max_body,
                hold_time=gateway.hold_time,
                hold_requests=gateway.hold_requests,
                origin=self._origin(("gateway",)),
            ),
            servers=built.servers,
            routes=built.routes,
            networks=self._networks(built.servers),
            monitor=self._monitor(),
            podman=context.facts.podman or (),
            podman_program=context.facts.program("podman") or "/usr/bin/podman",
            docker_program=context.facts.program("docker") or "/usr/bin/docker",
            systemd=context.facts.systemd or 0,
            gpus=tuple(_target_gpu(use) for use in placement.gpus),
            settings=settings_of(context.words),
        )

    def _networks(self, servers: Sequence[ModelServer]) -> tuple[Network, ...]:
        launches = [server.launch for server in servers if server.isolated]
        managers = {launch.manager for launch in launches if isinstance(launch, Container)}
        subnets = [(manager, IPv4Network(self._subnet(manager))) for manager in Manager if manager in managers]
        return tuple(Network(manager=manager, subnet=str(net), gateway=str(net[1])) for manager, net in subnets)

    def _subnet(self, manager: Manager) -> str:
        network = self.config.network
        return network.docker_subnet if manager is Manager.DOCKER else network.subnet

    def _server(self, item: Replica, placement: Placement, endpoint: Endpoint) -> tuple[ModelServer, Mapping[str, str]]:
        context, want, serving = self.context, item.want, item.want.serving
        claims = placement.claims.get(item.name, ())
        by_uuid = {gpu.uuid: gpu for gpu in context.facts.gpus}
        built = build_server(
            want,
            Place(
                endpoint=endpoint,
                gpus=tuple(by_uuid[claim.uuid] for claim in claims),
                share=placement.shares.get(item.name),
                facts=context.facts,
                scope=context.scope,
                base=PurePosixPath("/") if context.foreign else context.base,
                cache=context.cache,
                state=context.state_root / "modelgrid" / item.slug,
                revision=context.revision,
                secrets=self.config.secrets,
            ),
        )
        limits = serving.resources
        server = ModelServer(
            name=want.name,
            slug=item.slug,
            engine=want.engine.name,
            models=tuple(sorted(model.name for model in want.models)),
            launch=built.launch,
            endpoint=endpoint,
            health=Health(path=want.engine.health.path, start_timeout=serving.start_timeout),
            environment=built.environment,
            claims=claims,
            on_demand=serving.load is Load.ON_DEMAND,
            on_change=OnChange(serving.on_change.value),
            conflicts=self._units(placement.conflicting(item.name)),
            starts_after=self._units(placement.starts_after.get(item.name, ())),
            resources=Resources(memory=limits.memory or 0, cpus=limits.cpus or 0.0, tasks=limits.tasks or 0),
            credentials=built.credentials,
            quadlet=_unit_values(serving.quadlet),
            systemd=_unit_values(serving.systemd),
            origin=self._origin(want.path),
            origins=origins_of(want, self.config),
        )
        return server, built.upstream_models

    def _units(self, names: Iterable[str]) -> tuple[str, ...]:
        return tuple(sorted(unit_of(self.replicas[name].slug) for name in names))

    def _monitor(self) -> Monitor | None:
        monitor = self.config.monitor
        if monitor is None:
            return None
        return Monitor(
            every=monitor.every,
            metrics=monitor.metrics or "",
            python=self.context.facts.python,
            origin=self._origin(("monitor",)),
        )

    def _origin(self, path: Path) -> Origin:
        return Origin(path=format_path(path), location=self.context.locate(path))

    def _server_fault(self, fault: ServerError) -> None:
        self._fault(fault.code, fault.message, fault.path, hint=fault.hint)

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

#: The way out where nobody said what the model takes.
_ESTIMATED_HINT = "lower its `context` or `parallel`, say with `vram` what it takes, or give it another GPU"


def _listen(text: str) -> Endpoint:
    """Read the gateway's ``listen``, which ``check`` has found to be well formed."""
    address = split_address(text)
    assert address is not None, text
    return Endpoint(host=address[0], port=address[1])


def _target_gpu(use: GpuUse) -> TargetGpu:
    gpu = use.gpu
    return TargetGpu(uuid=gpu.uuid, index=gpu.index, name=gpu.name, memory=gpu.memory, reserve=use.reserve)


def _route(model: WantedModel, engine: Engine, upstream_model: str, server: ModelServer) -> ModelRoute:
    return ModelRoute(
        name=model.name,
        engine=engine.name,
        aliases=tuple(sorted(model.fields.aliases)),
        upstream_model=upstream_model,
        apis=tuple(sorted(engine.tasks[model.fields.task.value].apis)),
        endpoints=(server.endpoint,),
        health_path=engine.health.path,
        fallback=tuple(model.fields.fallback),
    )


def _unit_values(keys: Mapping[str, Any]) -> tuple[tuple[str, UnitValues], ...]:
    """Return the user's own keys of a unit, sorted, each with a list of values."""
    return tuple((key, tuple(value) if isinstance(value, list) else (value,)) for key, value in sorted(keys.items()))
