"""What must hold between rendered objects, beyond what a schema says.

Each check looks at all objects of one rendering and yields what is wrong, in words. test_manifests.py runs them over
every overlay, test_checks.py proves of each that it can fail.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tests.k8s.checks import of_pods, of_references, of_scaling, of_traffic
from tests.k8s.rendered import Manifest

Check = Callable[[list[Manifest]], Iterator[str]]
CHECKS: tuple[Check, ...] = (
    *(of_pods.pod_security, of_pods.habits, of_pods.settings, of_pods.time_to_leave),
    *(of_references.selectors, of_references.ports, of_references.references),
    *(of_traffic.paths, of_traffic.redirect, of_traffic.network),
    *(of_scaling.scaling, of_scaling.queries),
)
