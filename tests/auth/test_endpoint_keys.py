"""The keys of endpoints: derived, so that they can be shown again, and worth nothing once their number has grown."""

import asyncio
from pathlib import Path

import pytest

from auth.account_file import AccountFile
from auth.credentials.api_key import ApiKeyCredentials
from auth.credentials.credential import Shown
from auth.endpoint_keys import EndpointKeys, Keyed
from auth.errors import SetupError, Unauthenticated
from auth.key_text import _checksum, read_key
from auth.principal import Principal


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "endpoint.key"
    path.write_text("s" * 32)
    path.chmod(0o600)
    return path


def key(keys: EndpointKeys, endpoint: str = "cars", slot: str = "primary", **generations: int) -> bytes:
    texts = keys.texts(endpoint, generations)
    assert texts is not None
    return next(text.text for one, text in texts.items() if one == slot).encode()


def asked(keys: EndpointKeys, shared: AccountFile, secret: bytes) -> Principal:
    verifier = ApiKeyCredentials(shared, lambda *_: None, keys)
    return asyncio.run(verifier.verify(Shown(b"bearer", secret, ""), 0.0)).principal


def test_servers_of_one_secret_derive_the_same_keys_which_look_like_all_keys(secret: Path) -> None:
    one, two = EndpointKeys(secret), EndpointKeys(secret)
    shown = {
        key(one, name, slot, **{slot: number})
        for name in "ab"
        for slot in ("primary", "secondary")
        for number in (1, 2)
    }
    assert len(shown) == 8
    assert key(one) == key(two)
    assert all((found := read_key(text)) is not None and found.text.encode() == text for text in shown)
    assert EndpointKeys().texts("cars", {}) is None


def test_a_key_opens_its_endpoint_and_nothing_else_until_its_number_grows(secret: Path, shared: AccountFile) -> None:
    keys = EndpointKeys(secret)
    assert keys.tell([Keyed("cars", {}), Keyed("boats", {}, shown=False)])
    principal = asked(keys, shared, key(keys))
    assert (principal.name, principal.may("score", "cars"), principal.may("list", "cars")) == (
        "endpoint:cars",
        True,
        True,
    )
    refused = [("score", "boats"), ("publish", "cars"), ("details", "cars"), ("accounts", None)]
    assert not any(principal.may(permission, target) for permission, target in refused)  # type: ignore[arg-type]
    changes = keys.changes
    assert not keys.tell([Keyed("cars", {}), Keyed("boats", {}, shown=False)])
    assert keys.tell([Keyed("cars", {"primary": 2})]) and keys.changes > changes
    with pytest.raises(Unauthenticated):
        asked(keys, shared, key(keys))
    assert asked(keys, shared, key(keys, primary=2)).name == "endpoint:cars"
    assert asked(keys, shared, key(keys, slot="secondary")).name == "endpoint:cars"


def test_an_endpoint_that_takes_tokens_takes_no_keys(secret: Path, shared: AccountFile) -> None:
    keys = EndpointKeys(secret)
    keys.tell([Keyed("boats", {}, shown=False)])
    with pytest.raises(Unauthenticated):
        asked(keys, shared, key(keys, "boats"))


def test_another_secret_under_the_same_id_is_refused(secret: Path, shared: AccountFile) -> None:
    keys = EndpointKeys(secret)
    keys.tell([Keyed("cars", {})])
    good = key(keys).decode()
    forged = good[:13] + "0" * 32
    with pytest.raises(Unauthenticated):
        asked(keys, shared, (forged + _checksum(forged.encode())).encode())


def test_a_secret_that_is_too_short_stops_the_start(secret: Path) -> None:
    secret.write_text("short")
    with pytest.raises(SetupError, match="32 characters"):
        EndpointKeys(secret)
