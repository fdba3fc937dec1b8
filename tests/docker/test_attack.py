"""Hostile models in the image, under its numeric user and the pod's limits: they end as the payloads' files say."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.attack.arena import CARRIERS, Arena, Listener
from tests.attack.payloads import Targets, drop_all, payloads
from tests.harness.ship import Container
from tests.harness.tandem import eventually

pytestmark = pytest.mark.ship

DATA = "/var/lib/tandem"


@pytest.fixture(scope="module")
def locked(cpu_image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arena]:
    folder = tmp_path_factory.mktemp("attacked")
    folder.chmod(0o755)
    listener = Listener()
    targets = Targets(
        data=DATA,
        key=f"{DATA}/signing.key",
        canaries=f"{DATA}/canaries",
        loot="/tmp/loot",
        models=("/models/r", "/models/python"),
        library_file="/models/r/attack.so",
        port=listener.port,
    )
    models, made = folder / "models", folder / "made"
    for kind in ("r", "python"):
        (models / kind).mkdir(parents=True)
        (made / kind).mkdir(parents=True)
    drop_all(folder, made / "r", made / "python", targets)
    names = " ".join(sorted({*payloads("python"), *payloads("r")}))
    canaries = f"umask 077; mkdir {targets.canaries} {targets.loot}; cd {targets.canaries}; touch {names}"
    with Container(cpu_image, {"TANDEM_SANDBOX": "require"}, {models: "/models"}) as container:
        container.ready().run("sh", "-c", canaries)
        arena = Arena(container, targets, listener, True, container.data / "canaries", container.logs)
        for path in [*made.glob("*/*")]:  # they come when there is something to attack
            path.rename(models / path.parent.name / path.name)
        eventually(arena.settled, timeout_s=180)
        yield arena
    listener.close()


@pytest.mark.parametrize("carrier", [name for name in CARRIERS if "promise" not in name])  # R 4.5 reads none
def test_what_a_model_tries_is_stopped(locked: Arena, carrier: str) -> None:
    assert locked.wrong(carrier) == {}


def test_nothing_of_the_servers_was_changed_read_or_called(locked: Arena) -> None:
    assert locked.canaries() == locked.before
    assert locked.server.run("ls", locked.targets.loot) == ""
    assert locked.listener.calls == []
    assert locked.server.run("cat", locked.targets.key) not in locked.log()
