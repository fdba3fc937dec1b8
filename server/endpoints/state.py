"""Definitions as they are told to web processes, and the revision by which two of them are told apart."""

from __future__ import annotations

import dataclasses
import hashlib
from typing import Final

import orjson

from server.endpoints.definition import Deployment
from server.endpoints.folder import Defined, Definitions
from server.wire.snapshot import DeploymentState, EndpointState

REVISION_DIGITS: Final = 12


def states_of(found: Definitions) -> tuple[EndpointState, ...]:
    """All definitions, by name."""
    return tuple(state_of(defined) for _, defined in sorted(found.endpoints.items()))


def state_of(defined: Defined) -> EndpointState:
    """One endpoint with its deployments."""
    endpoint = defined.endpoint
    deployments = tuple(_deployment(one) for _, one in sorted(defined.deployments.items()))
    state = EndpointState(
        name=endpoint.name,
        revision="",
        key_header=endpoint.key_header,
        auth_mode=endpoint.auth_mode,
        traffic=dict(sorted(endpoint.traffic.items())),
        mirror_traffic=dict(endpoint.mirror_traffic),
        deployments=deployments,
        key_generations=dict(sorted(endpoint.key_generations.items())),
        description=endpoint.description,
        tags=endpoint.tags,
    )
    digest = hashlib.sha256(orjson.dumps(state, option=orjson.OPT_SORT_KEYS)).hexdigest()
    return dataclasses.replace(state, revision=digest[:REVISION_DIGITS])


def _deployment(one: Deployment) -> DeploymentState:
    collect = one.collect.to_data() if one.collect is not None else None
    return DeploymentState(
        one.name, one.model.name, one.model.version, one.timeout_s, one.description, one.tags, collect
    )
