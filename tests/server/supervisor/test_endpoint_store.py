"""The endpoints beside the accounts, in both kinds of database, and the word of servers that share one."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from auth.accounts import open_database
from auth.audit import Audit, Wanted
from auth.database import Database
from server.endpoints.definition import Refusal
from server.endpoints.state import state_of
from server.supervisor.endpoint_store import EndpointStore, Servers
from server.wire.control import Action, EndpointChange
from tests.harness.postgresql import PostgresServer


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    where: Path | str = tmp_path / "accounts.sqlite"
    if request.param == "postgresql":
        server: PostgresServer = request.getfixturevalue("postgresql")
        where = server.url(server.emptied())
    opened = open_database(where)
    yield opened
    opened.close()


def change(action: Action, endpoint: str, deployment: str = "", document: Any = None, **more: Any) -> EndpointChange:
    return EndpointChange(0, action, endpoint, deployment, document or {}, **more)


def test_what_is_changed_is_read_with_its_number_and_is_in_the_audit(database: Database) -> None:
    store = EndpointStore(database)
    assert store.read() == (0, store.read()[1]) and not store.read()[1].endpoints
    who = {"who": "ann", "via": "token:1", "request_id": "r"}
    assert store.change(change("put", "cars", document={"compute": "x"}, **who))[0] == 1
    number, warnings = store.change(change("put", "cars", "blue", {"model": "azureml:mpg:1", "instance_count": 1}))
    assert (number, len(warnings)) == (2, 1)
    store.change(change("patch", "cars", document={"traffic": {"blue": 100}}))
    number, found = store.read()
    assert (number, store.count()) == (3, 3)
    assert dict(found.endpoints["cars"].endpoint.traffic) == {"blue": 100}
    assert found.endpoints["cars"].deployments["blue"].model.version == "1"
    store.change(change("delete", "cars"))
    assert not store.read()[1].endpoints
    rows = Audit(database).rows(Wanted(after=0), 10)
    assert [(row.action, row.target, row.more) for row in rows] == [
        ("endpoint.created", "cars", ""),
        ("deployment.created", "cars/blue", '{"model":"azureml:mpg:1"}'),
        ("endpoint.changed", "cars", '{"traffic":"blue=100"}'),
        ("endpoint.removed", "cars", ""),
    ]
    assert (rows[0].who, rows[0].via, rows[0].request_id) == ("ann", "token:1", "r")


def test_what_is_refused_leaves_no_trace(database: Database) -> None:
    store = EndpointStore(database)
    with pytest.raises(Refusal):
        store.change(change("delete", "cars"))
    assert store.count() == 0
    assert Audit(database).rows(Wanted(after=0), 10) == []


def test_of_many_writers_at_one_revision_one_gets_through(database: Database) -> None:
    EndpointStore(database).change(change("put", "cars"))
    seen = EndpointStore(database).read()[1].endpoints["cars"]
    revisions = (state_of(seen).revision,)
    done: list[bool] = []

    def write(number: int) -> None:
        try:
            told = {"description": f"writer {number}"}
            EndpointStore(database).change(change("patch", "cars", document=told, revisions=revisions))
            done.append(True)
        except Refusal:
            done.append(False)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(done) == [False] * 7 + [True]


def test_a_server_that_lives_is_waited_for_and_one_that_is_silent_or_has_left_is_not(database: Database) -> None:
    one, two = Servers(database), Servers(database)
    one.say(3, 0.0)
    two.say(2, 0.0)
    assert not one.behind(2, 0.0)
    assert one.behind(3, 1.0)
    two.say(2, 9.0)  # it lives, and has still not got there
    assert one.behind(3, 9.5)
    assert one.behind(3, 19.0)
    assert not one.behind(3, 20.0)  # nothing was heard for more than ten seconds
    two.say(3, 21.0)
    assert not one.behind(3, 21.0)
    two.leave()
    one.leave()
    assert not one.behind(99, 22.0)
