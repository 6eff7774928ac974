"""Where a download may connect to: addresses sorted by who can reach them. Pure; the drivers resolve names.

A download's URL comes from outside. Without this rule it could make this machine fetch from itself, from
the network behind it, or from a cloud's metadata service.
"""

from ipaddress import (
    IPv4Address,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Literal

Kind = Literal["public", "private", "loopback", "never"]

_NEVER = frozenset(
    map(
        ip_address,
        (
            "100.100.100.200",  # metadata services that are neither link-local nor reserved
            "168.63.129.16",
            "192.0.0.192",
            "fd00:ec2::254",
            "fd20:ce::254",
        ),
    )
)
_PRIVATE = tuple(
    map(ip_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7"))
)
_GLOBAL_IPV6 = IPv6Network("2000::/3")
_NAT64 = IPv6Network("64:ff9b::/96")


def kind_of(address: str) -> Kind:
    """Return who can reach an IP address; an IPv6 address that maps an IPv4 one is judged as that."""
    parsed = ip_address(address.partition("%")[0])
    if isinstance(parsed, IPv6Address) and (inner := _embedded(parsed)) is not None:
        parsed = inner
    if parsed in _NEVER:
        return "never"
    if parsed.is_loopback:
        return "loopback"
    if any(parsed in network for network in _PRIVATE):
        return "private"
    return "public" if _is_public(parsed) else "never"


def _embedded(address: IPv6Address) -> IPv4Address | None:
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour


def _is_public(address: IPv4Address | IPv6Address) -> bool:
    if isinstance(address, IPv6Address):
        return address in _GLOBAL_IPV6 and address.is_global
    return address.is_global and not address.is_multicast
