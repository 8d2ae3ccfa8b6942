"""Which addresses a panel may have, and the sockets that lead to them."""

import errno
import ipaddress
import socket
import struct
from typing import Final

from aiohttp import AddrInfoType, SocketFactoryType

_NOT_PUBLIC: Final = tuple(
    map(
        ipaddress.ip_network,
        (
            "192.0.0.0/24",  # two of its addresses count as global elsewhere
            "100.64.0.0/10",
            "168.63.129.16/32",  # metadata of a cloud
            "3fff::/20",  # documentation
        ),
    )
)
"""Addresses that lead inside, or nowhere, whatever the standard library's version says of them."""

_GLOBAL_UNICAST: Final = ipaddress.IPv6Network("2000::/3")
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")


def is_public(address: str) -> bool:
    """Whether `address` is one of the open network: neither ours, nor this machine's, nor a cloud's metadata.

    An IPv6 address that carries an IPv4 one is judged by that.

    >>> is_public("93.184.216.34"), is_public("169.254.169.254"), is_public("::ffff:10.0.0.1")
    (True, False, False)
    """
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv6Address):
        inner = _carried(ip)
        if inner is None:
            return ip in _GLOBAL_UNICAST and ip.is_global and not any(ip in network for network in _NOT_PUBLIC)
        ip = inner
    listed = any(ip in network for network in _NOT_PUBLIC)
    return ip.is_global and not ip.is_multicast and not ip.is_reserved and not listed


def _carried(ip: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    if ip in _NAT64:
        return ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)


def factory(*, allow_private: bool, give_up_s: float) -> SocketFactoryType:
    """Make the maker of sockets; it sees every address a connection is tried on, however it was named or resolved.

    Bytes that the other side does not acknowledge for `give_up_s` are dropped with the connection, and closing drops
    what was not sent yet: without both, an `add` that we gave up on can arrive minutes later.
    """

    def opened(info: AddrInfoType) -> socket.socket:
        family, kind, protocol, _, address = info
        if not allow_private and not is_public(str(address[0])):
            raise PermissionError(errno.EACCES, f"{address[0]} is not a public address")
        sock = socket.socket(family=family, type=kind, proto=protocol)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(give_up_s * 1000))
        return sock

    return opened
