"""Two servers on one PostgreSQL: what one takes back the other refuses, and what happens while it is away."""

import time
from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from threading import Event, Thread
from typing import Any

import httpx
import pytest

from tests.auth.conftest import write
from tests.harness.postgresql import PASSWORD, QUOTED, PostgresServer
from tests.harness.tandem import Tandem, descendants, eventually

ROWS = {"rows": [{"speed": 10}]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sharing-a-database")


@pytest.fixture(scope="module")
def servers(folder: Path, postgresql: PostgresServer) -> Iterator[list[Tandem]]:
    """Both start at once, on a database that is empty. The first answers for the models of the second, too."""
    address = write(folder / "database.url", postgresql.url_with_password(postgresql.make()))
    key = write(folder / "token.key", "k" * 32)
    settings = {"database": address, "token_key": key, "r_workers": 1, "basic": "passwords"}
    two = Tandem(folder / "two", **settings)
    one = Tandem(folder / "one", web_workers=2, remotes=f"two=http://127.0.0.1:{two.port}", **settings)
    started = [one, two]
    try:
        two.drop("faraway", "lm(dist ~ speed, cars)")
        started[0].drop("cars", "lm(dist ~ speed, cars)")
        for server in started:
            server.start(wait=False)
        for server in started:
            eventually(server.ready, 120)
        eventually(lambda: started[0].model("cars").get("versions"))
        eventually(lambda: started[0].score("cars", ROWS).status_code == 200)
        yield started
    finally:
        for server in started:
            if server.process is not None:
                server.stop()


def asked(server: Tandem, method: str, path: str, **body: object) -> httpx.Response:
    reply = httpx.request(method, server.url + path, headers=server.headers(), json=body or None, timeout=30)
    assert reply.status_code < 300, reply.text
    return reply


def service(server: Tandem, name: str) -> None:
    asked(server, "POST", "/auth/accounts", name=name, kind="service", role="scorer")


def key_for(server: Tandem, owner: str) -> tuple[str, str]:
    """The pair and the primary key of an account."""
    made = asked(server, "POST", "/auth/keys", owner=owner, name="keys").json()
    return made["pair"], made["keys"][0]["key"]


@pytest.fixture(scope="module")
def caller(servers: list[Tandem]) -> str:
    """The key of somebody whom nothing happens to."""
    service(servers[0], "caller")
    return key_for(servers[1], "caller")[1]


def statuses(servers: list[Tandem], key: str) -> set[int]:
    """What both answer, in all of their web processes as far as a few tries reach them."""
    return {status(server, key) for server in servers for _ in range(6)}


def status(server: Tandem, key: str) -> int:
    """What is answered on a new connection, which costs next to nothing: the time of it counts."""
    with closing(HTTPConnection("127.0.0.1", server.port, timeout=30)) as connection:
        connection.request("GET", "/auth/me", headers={"api-key": key})
        return connection.getresponse().status


@contextmanager
def load(server: Tandem, key: str) -> Iterator[Counter[int]]:
    """Somebody scores all the time; how often each status was answered."""
    answered: Counter[int] = Counter()
    done = Event()

    def score() -> None:
        with httpx.Client(headers={"api-key": key}, timeout=30) as client:
            while not done.wait(0.02):
                answered[client.post(f"{server.url}/v1/models/cars/score", json=ROWS).status_code] += 1

    threads = [Thread(target=score) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        yield answered
    finally:
        done.set()
        for thread in threads:
            thread.join()


def test_servers_that_start_at_once_make_one_admin_whose_password_is_kept_once(servers: list[Tandem]) -> None:
    [kept] = [path for path in (s.folder / "data" / "admin-password" for s in servers) if path.exists()]
    form = {"grant_type": "password", "username": "admin", "password": kept.read_text()}
    assert [httpx.post(f"{s.url}/auth/token", data=form).status_code for s in servers] == [200, 200]
    assert not any((server.folder / "data" / "accounts.sqlite").exists() for server in servers)


def test_the_password_of_the_database_is_in_no_process_no_log_and_no_file_of_ours(servers: list[Tandem]) -> None:
    for server in servers:
        assert server.process is not None
        of_processes = [
            Path(f"/proc/{pid}/{what}").read_bytes()
            for pid in (server.process.pid, *descendants(server.process.pid))
            for what in ("environ", "cmdline")
        ]
        runs = server.folder.rglob("*")
        kept = [path.read_bytes() for path in runs if path.is_file()]
        assert server.log_path.read_bytes() in kept
        for text in (*of_processes, *kept):
            assert PASSWORD.encode() not in text and QUOTED.encode() not in text


def test_a_session_that_one_begins_the_other_goes_on_with_and_ends(servers: list[Tandem]) -> None:
    one, two = servers
    asked(one, "POST", "/auth/accounts", name="ann", role="analyst", password="correct horse")
    form = {"grant_type": "password", "username": "ann", "password": "correct horse"}
    begun = httpx.post(f"{one.url}/auth/token", data=form).json()
    refresh = {"grant_type": "refresh_token", "refresh_token": begun["refresh_token"]}
    renewed = httpx.post(f"{two.url}/auth/token", data=refresh).json()
    bearer = {"authorization": f"Bearer {renewed['access_token']}"}
    assert httpx.get(f"{one.url}/auth/me", headers=bearer).json()["name"] == "ann"
    assert httpx.post(f"{two.url}/auth/revoke", data={"token": renewed["refresh_token"]}).status_code == 200
    eventually(lambda: httpx.get(f"{one.url}/auth/me", headers=bearer).status_code == 401, 1.0)


TAKEN_BACK: dict[str, Callable[[Tandem, str, str], httpx.Response]] = {
    "a key is removed": lambda server, pair, name: asked(server, "DELETE", f"/auth/keys/{pair}"),
    "an account is disabled": lambda server, pair, name: asked(
        server, "PATCH", f"/auth/accounts/{name}", disabled=True
    ),
}


@pytest.mark.parametrize("how", TAKEN_BACK)
def test_what_one_takes_back_all_processes_of_both_refuse_within_a_second_under_load(
    servers: list[Tandem], caller: str, how: str
) -> None:
    one, two = servers
    name = how.split()[1]
    service(one, name)
    pair, key = key_for(one, name)
    two.headers()
    with load(one, caller) as answered:
        assert statuses(servers, key) == {200}
        TAKEN_BACK[how](two, pair, name)
        changed = last = time.monotonic()
        while time.monotonic() < changed + 2.0:
            asked = time.monotonic()
            if statuses(servers, key) != {401}:
                last = asked
    assert last - changed < 1.0
    assert set(answered) == {200}


def test_while_the_database_says_nothing_who_is_known_is_served_and_who_is_not_is_told_to_come_again(
    servers: list[Tandem], caller: str, postgresql: PostgresServer
) -> None:
    unknown = [key_for(servers[0], "caller")[1] for _ in range(2)]
    one = servers[1]
    assert statuses(servers, caller) == {200}
    assert one.get("/auth/me").status_code == 200
    with load(servers[0], caller) as answered:
        postgresql.freeze()
        try:
            for server in servers:
                reply = httpx.get(f"{server.url}/auth/me", headers={"api-key": unknown[0]}, timeout=30)
                assert (reply.status_code, reply.json()["code"]) == (503, "accounts_unavailable")
                assert reply.headers["retry-after"] == "1"
                began = time.monotonic()
                assert httpx.get(f"{server.url}/auth/me", headers={"api-key": unknown[1]}).status_code == 503
                assert time.monotonic() - began < 1.5  # it is known by now that nobody answers
                eventually(lambda server=server: server.metric("tandem_accounts_away_seconds") > 1)
                assert httpx.get(f"{server.url}/health/ready").status_code == 200
            assert statuses(servers, caller) == {200}
            scoring = servers[0].score("cars", ROWS, user=None, headers={"api-key": unknown[0]})
            changing = httpx.patch(f"{one.url}/auth/accounts/caller", headers=one.headers(), json={"about": "x"})
            assert [(r.status_code, r.json()["code"]) for r in (scoring, changing)] == [
                (503, "accounts_unavailable")
            ] * 2
            endpoint = httpx.put(f"{one.url}/v1/endpoints/late", headers=one.headers(), json={}, timeout=30)
            assert (endpoint.status_code, endpoint.json()["code"]) == (503, "store_unavailable")
        finally:
            postgresql.thaw()
        eventually(lambda: statuses(servers, unknown[0]) == {200})
    assert set(answered) == {200} and answered[200] > 20
    eventually(lambda: [s.metric("tandem_accounts_away_seconds") for s in servers] == [0, 0])


def test_a_database_that_is_started_anew_under_load_is_noticed_by_nobody_who_is_known(
    servers: list[Tandem], caller: str, postgresql: PostgresServer
) -> None:
    assert statuses(servers, caller) == {200}
    with load(servers[0], caller) as answered:
        postgresql.stop()
        assert statuses(servers, caller) == {200}
        postgresql.start()
        assert statuses(servers, caller) == {200}
    assert set(answered) == {200}
    eventually(lambda: service(servers[1], "late") is None)


def test_a_relayed_request_is_counted_once_under_a_limit_and_takes_keys_as_well_as_tokens(
    servers: list[Tandem],
) -> None:
    service(servers[0], "relayed")
    asked(servers[1], "PUT", "/auth/limits/relayed", who="relayed", model="faraway", requests=3, per="day")
    _, key = key_for(servers[1], "relayed")
    [here, there] = [f"{server.url}/v1/models/faraway/score" for server in servers]

    def answered(url: str) -> int:
        return httpx.post(url, headers={"api-key": key}, json=ROWS, timeout=30).status_code

    def used() -> dict[str, int]:
        [row] = asked(servers[1], "GET", "/auth/usage?who=relayed").json()
        return {what: row[what] for what in ("requests", "rows", "refused")}

    eventually(lambda: servers[0].score("faraway", ROWS).status_code == 200)
    assert servers[0].model("faraway")["versions"][0]["runtime"] == "r"
    assert [answered(url) for url in (here, here, there, here, there)] == [200, 200, 200, 429, 429]
    eventually(lambda: used() == {"requests": 3, "rows": 3, "refused": 2})


def test_a_change_of_an_endpoint_is_answered_when_both_have_it_in_force(servers: list[Tandem]) -> None:
    for number in range(6):
        changing, other = servers[number % 2], servers[1 - number % 2]
        made = asked(changing, "PUT", "/v1/endpoints/shared", description=f"change {number}").json()
        seen = other.get("/v1/endpoints/shared").json()
        assert (made["provisioning_state"], seen["revision"]) == ("Succeeded", made["revision"])


@pytest.mark.parametrize("how", ["key", "password"])
def test_a_relayed_request_is_of_the_same_caller_there_and_no_secret_goes_along(
    servers: list[Tandem], how: str
) -> None:
    one, two = servers
    name = f"relayed-by-{how}"
    if how == "key":
        service(one, name)
        pair, key = key_for(two, name)
        secret = b64encode(f":{key}".encode()).decode()
    else:
        asked(one, "POST", "/auth/accounts", name=name, role="scorer", password="correct horse")
        secret = b64encode(f"{name}:correct horse".encode()).decode()
    headers = {"authorization": f"Basic {secret}", "x-request-id": name}
    eventually(lambda: one.score("faraway", ROWS).status_code == 200)
    assert one.score("faraway", ROWS, None, headers=headers).status_code == 200

    def logged() -> dict[str, Any] | None:
        lines = (line for line in two.log_lines() if line.get("request_id") == name)
        return next((line for line in lines if line["message"] == "scored"), None)

    line = eventually(logged)
    assert (line["principal"], line["via"]) == (name, how)
    if how == "key":
        assert line["key"] == key[4:12]
        asked(two, "DELETE", f"/auth/keys/{pair}")
        eventually(lambda: one.score("faraway", ROWS, None, headers=headers).status_code == 401, 5)


def test_the_audit_of_both_is_one_chain(servers: list[Tandem]) -> None:
    verdicts = [server.command("audit", "verify").stdout for server in servers]
    assert verdicts[0] == verdicts[1] and "are as they were written" in verdicts[0]
    assert "account.added" in servers[1].command("audit", "export", "--form", "csv").stdout
