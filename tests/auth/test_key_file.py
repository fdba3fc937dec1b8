from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auth.errors import SetupError, Unauthenticated
from auth.key_file import KeyFileTokens, parse
from auth.tokens import Tokens
from tests.auth.conftest import settle, write

OLD, NEW = "old" * 11, "new" * 11


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write(tmp_path / "token.key", OLD)


def token(of: Tokens) -> str:
    return of.issue("ann", "analyst", "s1", 1000.0)


def takes(tokens: Tokens, one: str) -> bool:
    try:
        return tokens.verify(one, 1000.0).name == "ann"
    except Unauthenticated as refusal:
        assert refusal.reason == "bad_header"
        return False


def test_the_first_key_signs_and_all_verify(path: Path) -> None:
    write(path, NEW, OLD)
    tokens = KeyFileTokens(path)
    assert token(tokens) == token(Tokens(NEW.encode()))
    assert takes(tokens, token(Tokens(OLD.encode())))


def test_a_key_is_replaced_in_three_steps_and_no_token_is_refused_on_the_way(path: Path) -> None:
    """Two servers that see each step one after the other; each takes what the other signs at any time."""
    servers = [KeyFileTokens(path), KeyFileTokens(path)]
    issued = [token(servers[0])]
    for step in ([OLD, NEW], [NEW, OLD], [NEW]):
        write(path, *step)
        for server in servers:
            settle(server.change_counter)
            issued += [token(other) for other in servers]
            fresh = issued[-2:]  # the last step comes when the tokens of the old key have expired
            assert all(takes(other, one) for other in servers for one in (fresh if len(step) == 1 else issued))
    assert not takes(servers[0], issued[0])
    assert servers[0].change_counter() == 3


def test_a_file_that_becomes_bad_changes_no_key(path: Path) -> None:
    tokens = KeyFileTokens(path)
    for lines in (["short"], [], [NEW, "-----BEGIN OPENSSH PRIVATE KEY-----"]):
        write(path, *lines)
        settle(tokens.change_counter)
        assert token(tokens) == token(Tokens(OLD.encode()))
    assert tokens.change_counter() == 0


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "there is no key in it"),
        (b"\n# none yet, but this line is as long as a key\n", "there is no key in it"),
        (f"{NEW}\n\nshort\n".encode(), "line 3: a signing key has at least 32 bytes, this one has 5"),
        (b"-----BEGIN PRIVATE KEY-----\nMIIBIjANBgkqhkiG\n", "line 1: a signing key has at least 32 bytes"),
        (b"-----BEGIN OPENSSH PRIVATE KEY-----\n", "line 1: a signing key is random bytes, not a PEM or SSH key"),
    ],
)
def test_a_line_that_is_no_key_is_told_by_its_number(path: Path, raw: bytes, words: str) -> None:
    path.chmod(0o600)
    path.write_bytes(raw)
    with pytest.raises(SetupError, match=words) as problem:
        KeyFileTokens(path)
    assert NEW not in str(problem.value)


@given(st.binary())
def test_whatever_a_file_holds_its_keys_are_long_enough_or_it_will_not_do(raw: bytes) -> None:
    try:
        keys = parse(raw)
    except ValueError:
        return
    assert keys and all(len(key) >= 32 and key in raw and b"\n" not in key for key in keys)
