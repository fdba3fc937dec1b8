"""Which network an address belongs to.

Owns how much of an address one client controls, and how much of one is kept. Must not know why it is asked.
"""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network


def network_of(address: str) -> str:
    """The part of an address that one client controls: an IPv4 address, or the /64 of an IPv6 address."""
    parsed = _parsed(address)
    if isinstance(parsed, IPv6Address):
        return str(int(parsed) >> 64)
    return str(parsed) if parsed is not None else address


def shown_network(address: str) -> str:
    """The part of an address that is written down: the /24 of an IPv4 address, the /48 of an IPv6 address."""
    parsed = _parsed(address)
    if parsed is None:  # a test client, a Unix socket
        return address[:64]
    length = 24 if isinstance(parsed, IPv4Address) else 48
    return str(ip_network((parsed, length), strict=False))


def _parsed(address: str) -> IPv4Address | IPv6Address | None:
    try:
        parsed = ip_address(address)
    except ValueError:
        return None
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is not None:
        return parsed.ipv4_mapped
    return parsed
