from typing import Any

import pytest

from server.web.client_address import ClientAddresses
from server.web.connection.head import check

PROXY, CLIENT = "10.0.0.1", "203.0.113.7"


@pytest.mark.parametrize(
    ("proxies", "nearest", "forwarded", "expected"),
    [
        ([], PROXY, CLIENT, PROXY),
        (["10.0.0.0/8"], PROXY, CLIENT, CLIENT),
        (["10.0.0.0/8"], CLIENT, "198.51.100.1", CLIENT),
        (["10.0.0.0/8"], PROXY, f"198.51.100.1, {CLIENT}, 10.0.0.9", CLIENT),
        (["10.0.0.0/8"], PROXY, None, PROXY),
        (["10.0.0.0/8"], PROXY, "", PROXY),
    ],
)
def test_the_address_is_what_the_nearest_trusted_proxy_says(
    proxies: list[str], nearest: str, forwarded: str | None, expected: str
) -> None:
    headers = {} if forwarded is None else {b"x-forwarded-for": forwarded.encode()}
    assert ClientAddresses(proxies).of(nearest, headers) == expected


def test_a_connection_without_an_address_has_none() -> None:
    assert ClientAddresses(["10.0.0.0/8"]).of("", {}) == ""


class Parsed:
    """What `check` asks a parser of a plain request."""

    def get_http_version(self) -> str:
        return "1.1"

    def should_upgrade(self) -> bool:
        return False


def test_proxies_that_add_a_line_each_are_read_as_one_list() -> None:
    lines = [(b"host", b"a"), (b"x-forwarded-for", b"198.51.100.1"), (b"x-forwarded-for", CLIENT.encode())]
    parser: Any = Parsed()
    headers = check(parser, b"/", [*lines, (b"x-forwarded-for", b"10.0.0.9")], 100)
    assert headers[b"x-forwarded-for"] == f"198.51.100.1, {CLIENT}, 10.0.0.9".encode()
    assert ClientAddresses(["10.0.0.0/8"]).of(PROXY, headers) == CLIENT
