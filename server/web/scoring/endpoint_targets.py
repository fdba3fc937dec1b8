"""The scoring paths of endpoints: a request at one of them goes to one of the deployments."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace

from server.dispatch.dispatcher import Dispatcher
from server.endpoints.traffic import Split
from server.web.dialects.deployed import DEPLOYMENT, Deployed
from server.web.dialects.dialect import Dialect, Dialects
from server.web.problems import ProblemError, problem
from server.web.scoring.target import Behind, Target
from server.wire.snapshot import DeploymentState, EndpointState, Entry, Snapshot

BELOW = ("/endpoints/", "/serving-endpoints/")
"""How paths begin that mean an endpoint first, and a model of that name where there is no such endpoint."""

OnRerouted = Callable[[str, str], None]


class Deployments:
    """The deployments of an endpoint at one path."""

    def __init__(
        self, endpoint: EndpointState, split: Split, ready: Mapping[str, Target], on_rerouted: OnRerouted
    ) -> None:
        self._endpoint = endpoint
        self._split = split
        self._ready = ready
        self._on_rerouted = on_rerouted
        self._key_header = endpoint.key_header.encode()

    def choose(self, headers: Mapping[bytes, bytes], request_id: str) -> Target:
        """The deployment that the request names, or the one that its key is assigned to. Raises ProblemError."""
        wanted = headers.get(DEPLOYMENT)
        if wanted is not None:
            return self._named(wanted.decode("latin-1"))
        choice = self._split.choose(headers.get(self._key_header) or request_id.encode())
        if choice is None:
            raise ProblemError(problem("no_worker" if any(self._endpoint.traffic.values()) else "no_traffic"))
        if choice.rerouted:
            self._on_rerouted(self._endpoint.name, choice.name)
        return self._ready[choice.name]

    def again(self, target: Target) -> Target:
        """The same deployment as it is now; as it was where it has gone meanwhile."""
        return self._ready.get(target.behind.deployment, target) if target.behind is not None else target

    def _named(self, name: str) -> Target:
        target = self._ready.get(name)
        if target is not None:
            return target
        if any(deployment.name == name for deployment in self._endpoint.deployments):
            raise ProblemError(problem("no_worker"))
        known = ", ".join(deployment.name for deployment in self._endpoint.deployments) or "none"
        told = f"The header azureml-model-deployment names a deployment that the endpoint lacks; it has {known}."
        raise ProblemError(problem("unknown_deployment", told))


def endpoint_targets(
    snapshot: Snapshot,
    dispatchers: Mapping[str, Dispatcher],
    dialects: Dialects,
    timeout_s: float,
    of_models: Collection[str],
    on_rerouted: OnRerouted,
) -> dict[str, Target]:
    """Each path of an endpoint with where it leads. `of_models` are the paths of models, which keep their own."""
    if not snapshot.endpoints:
        return {}
    answering = {(entry.name, entry.version): entry for entry in snapshot.entries if _answers(entry, snapshot)}
    found: dict[str, Target] = {}
    for endpoint in snapshot.endpoints:
        able = [
            (deployment, answering[deployment.model, deployment.version])
            for deployment in endpoint.deployments
            if (deployment.model, deployment.version) in answering
        ]
        split = Split(endpoint.name, endpoint.traffic, [deployment.name for deployment, _ in able])
        whole = Target(_stand_in(endpoint), timeout_s, False, None, dialects.of(""), behind=Behind(endpoint.name, ""))
        for path, pinned, dialect in dialects.mounts(whole.entry):
            if pinned or (path in of_models and not path.startswith(BELOW)):
                continue
            ready = {
                deployment.name: _target(endpoint, deployment, entry, dialect, dispatchers, timeout_s)
                for deployment, entry in able
            }
            found[path] = replace(whole, dialect=dialect, fork=Deployments(endpoint, split, ready, on_rerouted))
    return found


def _answers(entry: Entry, snapshot: Snapshot) -> bool:
    return entry.state == "ready" and not entry.remote and bool(snapshot.pools[entry.pool].workers)


def _target(
    endpoint: EndpointState,
    deployment: DeploymentState,
    entry: Entry,
    dialect: Dialect,
    dispatchers: Mapping[str, Dispatcher],
    timeout_s: float,
) -> Target:
    limits = (one for one in (deployment.timeout_s, entry.timeout_s, timeout_s) if one is not None)
    deployed = Deployed(dialect, deployment.name)
    behind = Behind(endpoint.name, deployment.name)
    return Target(entry, min(limits), True, dispatchers[entry.pool], deployed, behind=behind)


def _stand_in(endpoint: EndpointState) -> Entry:
    """What stands for a model of the endpoint's name, so that each dialect says where such a model would be asked."""
    return Entry(endpoint.name, "", "", "", "ready", "", "", False, 0, 0.0, current=True)
