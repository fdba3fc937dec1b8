import pytest

from server.web.client_address import ClientAddresses

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
