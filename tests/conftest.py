"""What every test may ask for by name: a running server, the example models."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.harness.postgresql import PostgresServer
from tests.harness.tandem import ROOT, Tandem
from tests.oracle.summary import pytest_terminal_summary as pytest_terminal_summary

TESTS = Path(__file__).resolve().parent
LONGEST = (
    *("oracle/test_oracle", "server/supervisor/test_faults", "server/test_chaos", "attack/test_models"),
    *("server/supervisor/test_stop", "server/supervisor/test_models_on_disk", "server/pools/test_own_pools"),
    *("server/test_remotes", "auth/test_servers_that_share_a_database", "server/web/test_keys", "test_readme"),
    # make ship-test
    *("docker/test_image", "k8s/test_rollout", "k8s/test_gateway", "k8s/test_queries", "attack/test_behind_nginx"),
)
"""Files that take minutes, the longest first: begun last, one of them would keep one process busy alone."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first; the order is else as it was."""
    places = {TESTS / f"{name}.py": place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path, len(places)))


settings.register_profile("here", deadline=None)  # a machine that is busy with other things is no fault
if not settings().derandomize:  # hypothesis has a profile of its own for CI
    settings.load_profile("here")


@pytest.fixture(scope="session")
def example_models() -> Path:
    """The folder with the trained examples; `make` has built them."""
    folder = ROOT / "r_models"
    missing = [name for name in ("boston", "mpg", "am", "iris") if not (folder / f"{name}.rds").exists()]
    assert not missing, f"train the examples first (make setup): {missing}"
    return folder


@pytest.fixture
def tandem_factory(tmp_path: Path) -> Iterator[Callable[..., Tandem]]:
    """Makes servers that are stopped when the test ends."""
    made: list[Tandem] = []

    def make(**settings: object) -> Tandem:
        tandem = Tandem(tmp_path / f"tandem-{len(made)}", **settings)
        made.append(tandem)
        return tandem

    yield make
    for tandem in made:
        if tandem.process is not None and tandem.process.poll() is None:
            tandem.stop()


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgresServer]:
    """One PostgreSQL, in which each test makes databases of its own."""
    server = PostgresServer()
    yield server
    server.end()


@pytest.fixture(scope="session")
def tandem(tmp_path_factory: pytest.TempPathFactory, example_models: Path) -> Iterator[Tandem]:
    """One server with the example models, shared by tests that leave it as they found it."""
    server = Tandem(tmp_path_factory.mktemp("tandem"))
    for path in example_models.glob("*.rds"):
        for kept in (path, path.with_suffix(".yaml")):
            (server.r_models / kept.name).write_bytes(kept.read_bytes())
    server.start()
    yield server
    assert server.stop() == 0
