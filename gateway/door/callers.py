"""Who calls: the address of a customer, also behind load balancers of ours, and never one that a stranger made up."""

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final, TypeAlias

import msgspec
from starlette.types import Scope

from gateway.settings import Network

Address: TypeAlias = IPv4Address | IPv6Address


_LONGEST: Final = 64  # characters of an address with its port
_KNOWN: Final = 4096
_SITE: Final = 64  # bits of an IPv6 address that one customer is given the rest of


class Caller(msgspec.Struct, frozen=True, gc=False):
    """Where a call comes from.

    Attributes:
        address: as text, IPv4 where it is one in IPv6's dress; empty = not known.
        site: what limits go by: the address, or the /64 of an IPv6 one.
        near: it is a proxy of ours itself, or somebody on its machine.
    """

    address: str
    site: str
    near: bool


NOBODY: Final = Caller("", "", near=False)


class Callers:
    """Believes what `proxies` say of who called them."""

    def __init__(self, proxies: Sequence[Network]) -> None:
        self._proxies = tuple(proxies)
        self.of: Final = lru_cache(_KNOWN)(self._of)  # the same few call again and again

    def caller(self, scope: Scope) -> Caller:
        """Who made a request: its peer, or whom a proxy of ours names; the last one named that is no proxy of ours."""
        client = scope.get("client")
        peer = self.of(client[0]) if client else NOBODY
        if not peer.near:
            return peer
        named = b",".join(value for name, value in scope["headers"] if name == b"x-forwarded-for")
        if not named:
            return peer
        for text in reversed(named.decode("latin-1").split(",")):
            caller = self.of(text.strip()[:_LONGEST])
            if not caller.address:  # said by one whom we believe, and no address: then that one is all we know
                return peer
            peer = caller
            if not caller.near:
                return caller
        return peer

    def _of(self, text: str) -> Caller:
        address = parsed(text)
        if address is None:
            return NOBODY
        near = any(address in network for network in self._proxies)
        return Caller(str(address), site(address), near=near)


def parsed(text: str) -> Address | None:
    """An address, with or without a port; None where it is none.

    >>> parsed("203.0.113.9:4711"), parsed("[2001:db8::1]:80"), parsed("::ffff:10.0.0.1"), parsed("unknown")
    (IPv4Address('203.0.113.9'), IPv6Address('2001:db8::1'), IPv4Address('10.0.0.1'), None)
    """
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        found = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return (found.ipv4_mapped or found) if isinstance(found, IPv6Address) else found


def site(address: Address) -> str:
    """What limits go by.

    >>> site(IPv6Address("2001:db8:1:2:3::4")), site(IPv4Address("203.0.113.9"))
    ('2001:db8:1:2::/64', '203.0.113.9')
    """
    if isinstance(address, IPv4Address):
        return str(address)
    return str(ip_network((address, _SITE), strict=False))
