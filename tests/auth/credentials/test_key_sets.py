"""The keys of a provider: when they are asked for, how long they are good, and which of a set will do."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from auth.credentials.identity import Provider
from auth.credentials.key_sets import ASK_AGAIN_S, GOOD_FOR_S, MOST_KEYS, KeySet
from auth.errors import AuthError, ProviderUnavailable, Unauthenticated
from auth.jws import public_key
from tests.auth.credentials.conftest import ISSUER, Clock, Imitation, ec_entry, ec_key, rsa_entry, rsa_key

PROVIDER = Provider(name="idp", issuer=ISSUER, audiences=frozenset({"tandem"}), map={"a": "scorer"})
ONE, TWO = (rsa_entry(kid, rsa_key(kid)) for kid in ("one", "two"))


def keys_of(imitation: Imitation, clock: Clock) -> KeySet:
    return KeySet(PROVIDER, imitation, clock)  # type: ignore[arg-type]


async def refused(keys: KeySet, kid: str) -> type[AuthError]:
    with pytest.raises(AuthError) as refusal:
        await keys.key(kid)
    return type(refusal.value)


def test_ten_thousand_unknown_kids_at_once_are_one_request_and_harm_no_good_token(clock: Clock) -> None:
    provider = Imitation(ONE)
    keys = keys_of(provider, clock)

    async def flood() -> None:
        await keys.refresh()
        assert provider.times == 1
        outcomes = await asyncio.gather(*(refused(keys, f"kid {n}") for n in range(10_000)), keys.key("one"))
        assert set(outcomes[:-1]) == {Unauthenticated}
        assert provider.times == 2

    asyncio.run(flood())


def test_an_unknown_kid_is_asked_for_at_once_and_then_once_a_minute(clock: Clock) -> None:
    provider = Imitation(ONE)
    keys = keys_of(provider, clock)

    async def roll() -> None:
        await keys.key("one")
        provider.keys = [ONE, TWO]
        assert await refused(keys, "two") is Unauthenticated
        clock.now += ASK_AGAIN_S
        await keys.key("two")
        assert provider.times == 2

    asyncio.run(roll())


def test_a_key_that_is_rolled_after_the_first_fetch_in_the_background_is_found_at_once(clock: Clock) -> None:
    provider = Imitation(ONE)
    keys = keys_of(provider, clock)

    async def roll() -> None:
        await keys.refresh()
        provider.keys = [TWO]
        await keys.key("two")
        assert await refused(keys, "one") is Unauthenticated
        assert keys.removed == 1

    asyncio.run(roll())


def test_while_the_provider_is_away_its_keys_serve_on_for_a_day(clock: Clock) -> None:
    provider = Imitation(ONE)
    keys = keys_of(provider, clock)

    async def away() -> None:
        await keys.refresh()
        provider.failure = ProviderUnavailable("away")
        for _ in range(24):
            clock.now += GOOD_FOR_S / 24 - 1
            await keys.refresh()
            await keys.key("one")
        assert await refused(keys, "two") is ProviderUnavailable  # it may be a new one
        clock.now += 60
        assert await refused(keys, "one") is ProviderUnavailable
        provider.failure = None
        clock.now += ASK_AGAIN_S
        await keys.key("one")

    asyncio.run(away())


def test_before_the_first_set_nobody_can_say_whether_a_token_is_good(clock: Clock) -> None:
    provider = Imitation(ONE)
    provider.failure = ProviderUnavailable("away")
    keys = keys_of(provider, clock)
    assert asyncio.run(refused(keys, "one")) is ProviderUnavailable
    assert keys.age_s is None


def test_a_slow_provider_holds_up_nobody_whose_key_is_known(clock: Clock) -> None:
    provider = Imitation(ONE)
    keys = keys_of(provider, clock)

    async def slow() -> None:
        await keys.refresh()
        answer = asyncio.Event()
        asked = provider.get

        async def get(url: str) -> dict[str, Any]:
            await answer.wait()
            return await asked(url)

        provider.get = get  # type: ignore[method-assign]
        provider.keys = [ONE, TWO]
        waiting = [asyncio.create_task(keys.key("two")) for _ in range(3)]
        await asyncio.sleep(0)
        async with asyncio.timeout(1):
            await keys.key("one")
        waiting.pop().cancel()  # who goes away does not end what the others wait for
        answer.set()
        assert len(await asyncio.gather(*waiting)) == 2
        assert provider.times == 2

    asyncio.run(slow())


@pytest.mark.parametrize(
    "document",
    [
        {"issuer": "https://idp.example.com"},
        {"issuer": ISSUER + "/"},
        {"issuer": None},
        {"jwks_uri": "http://idp.example.org/keys"},
        {"jwks_uri": "file:///etc/passwd"},
        {"jwks_uri": "https://ann:secret@idp.example.org/keys"},
        {"jwks_uri": 7},
    ],
    ids=str,
)
def test_a_provider_that_describes_itself_as_another_or_names_no_safe_address_has_no_keys(
    clock: Clock, document: dict[str, Any]
) -> None:
    provider = Imitation(ONE)
    provider.document |= document
    assert asyncio.run(refused(keys_of(provider, clock), "one")) is ProviderUnavailable


OTHERS = [
    pytest.param({"kty": "OKP", "crv": "Ed25519", "kid": "x", "x": "AAAA"}, id="an Edwards curve"),
    pytest.param({"kty": "oct", "kid": "x", "k": "AAAA"}, id="a secret"),
    pytest.param(rsa_entry("x", rsa_key("small", 1024)), id="RSA of 1024 bits"),
    pytest.param(rsa_entry("x", rsa_key("one"), use="enc"), id="for encryption by use"),
    pytest.param(rsa_entry("x", rsa_key("one"), key_ops=["encrypt"]), id="for encryption by key_ops"),
    pytest.param(rsa_entry("x", rsa_key("one"), key_ops=7), id="key_ops that are a number"),
    pytest.param(rsa_entry("x", rsa_key("one"), alg="RS512"), id="of another algorithm"),
    pytest.param(rsa_entry("x", rsa_key("one"), n="!"), id="n that is not base64url"),
    pytest.param(rsa_entry("x", rsa_key("one"), n=None), id="without n"),
    pytest.param(rsa_entry("x", rsa_key("one"), e="AA"), id="an exponent of zero"),
    pytest.param(rsa_entry("x", rsa_key("one"), issuer=7), id="an issuer that is a number"),
    pytest.param(ec_entry("x", ec_key("one")), id="an elliptic key"),
    pytest.param({"kid": "x"}, id="nothing but a kid"),
    pytest.param({"kid": ["x"], "kty": "RSA"}, id="a kid that is a list"),
    pytest.param(7, id="a number"),
    pytest.param(None, id="null"),
]


@pytest.mark.parametrize("entry", OTHERS)
def test_a_key_that_will_not_do_is_left_out_and_harms_no_other(clock: Clock, entry: Any) -> None:
    async def look() -> None:
        keys = keys_of(Imitation(entry, ONE, entry), clock)
        await keys.key("one")
        assert await refused(keys, "x") is Unauthenticated

    asyncio.run(look())


@pytest.mark.parametrize(
    "document",
    [
        pytest.param([], id="none"),
        pytest.param(7, id="a number"),
        pytest.param([TWO | {"use": "enc"}], id="none for signatures"),
        pytest.param([ONE | {"kid": str(n)} for n in range(MOST_KEYS + 1)], id="too many"),
    ],
)
def test_a_set_without_a_key_that_will_do_is_not_taken_in_place_of_a_good_one(clock: Clock, document: Any) -> None:
    provider = Imitation(ONE)
    keys = keys_of(provider, clock)

    async def spoil() -> None:
        await keys.refresh()
        provider.keys = document
        await keys.refresh()
        await keys.key("one")
        assert keys.removed == 0

    asyncio.run(spoil())


def test_two_keys_of_one_id_are_both_left_out(clock: Clock) -> None:
    async def look() -> None:
        keys = keys_of(Imitation(ONE, TWO, rsa_entry("one", rsa_key("stranger"))), clock)
        await keys.key("two")
        assert await refused(keys, "one") is Unauthenticated

    asyncio.run(look())


def test_a_key_of_a_provider_is_never_a_secret() -> None:
    for algorithm in ("RS256", "ES256"):
        with pytest.raises(ValueError, match=r"kty|P-256"):
            public_key({"kty": "oct", "k": "AAAA", "kid": "x"}, algorithm)  # type: ignore[arg-type]
