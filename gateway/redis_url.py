"""Where Redis is: one server, a primary that Sentinels know, or a cluster.

    redis://[user:password@]host[:6379][/db]              one server; rediss:// = over TLS
    unix://[user:password@]/path[?db=0]                   one server on this machine
    redis+sentinel://[user:password@]h1[:26379],h2/name   the primary that these Sentinels call `name`
    redis+cluster://[user:password@]h1[:6379],h2          a cluster that these nodes belong to

`rediss+sentinel` and `rediss+cluster` are over TLS. What follows a `?` goes to redis-py, but for `sentinel_username`
and `sentinel_password`, which are said to the Sentinels.
"""

from enum import StrEnum
from typing import Final
from urllib.parse import parse_qs, parse_qsl, unquote, urlencode

import msgspec

SCHEMES: Final = (
    "redis://, rediss://, unix://, redis+sentinel://, rediss+sentinel://, redis+cluster:// or rediss+cluster://"
)


class Kind(StrEnum):
    """What stands at the other end."""

    SINGLE = "single"
    SENTINEL = "sentinel"
    CLUSTER = "cluster"


_PORTS: Final = {Kind.SINGLE: 6379, Kind.SENTINEL: 26379, Kind.CLUSTER: 6379}
_KINDS: Final = {"": Kind.SINGLE, "+sentinel": Kind.SENTINEL, "+cluster": Kind.CLUSTER}


class RedisURL(msgspec.Struct, frozen=True, kw_only=True):
    """One such address, read.

    Attributes:
        hosts: (host, port) of each server, Sentinel or node; empty for a Unix socket.
        name: what the Sentinels call the primary; empty for all others.
        plain: the same user, password, db and options at the first of the hosts, as redis-py reads it.
        sentinel: what is said to the Sentinels: `username`, `password`.
    """

    kind: Kind
    hosts: tuple[tuple[str, int], ...]
    name: str
    plain: str
    sentinel: dict[str, str]

    def __repr__(self) -> str:
        """Without what may be a password."""
        return f"RedisURL({self.kind.value}, {','.join(f'{host}:{port}' for host, port in self.hosts)}, {self.name!r})"


def redis_url(url: str) -> RedisURL:
    """Read an address.

    Raises:
        ValueError: it is none; the text shows no password.

    >>> redis_url("redis+sentinel://:secret@h1,h2:26380/shop")
    RedisURL(sentinel, h1:26379,h2:26380, 'shop')
    """
    scheme, there, rest = url.partition("://")
    if scheme == "unix" and there:
        return RedisURL(kind=Kind.SINGLE, hosts=(), name="", plain=url, sentinel={})
    transport, plus, kind_name = scheme.partition("+")
    kind = _KINDS.get(plus + kind_name)
    if not there or kind is None or transport not in {"redis", "rediss"}:
        raise ValueError(f'"{shown(url)}" is not {SCHEMES}')
    place, _, query = rest.partition("?")
    netloc, _, path = place.partition("/")
    login, at, names = netloc.rpartition("@")
    hosts = tuple(_host(name, kind, url) for name in names.split(","))
    name, db = "", path
    if kind is Kind.SENTINEL:
        name, _, db = unquote(path).partition("/")
        if not name:
            raise ValueError(f'"{shown(url)}" does not name the primary: redis+sentinel://HOST,HOST/NAME')
    elif kind is Kind.SINGLE and len(hosts) > 1:
        raise ValueError(f'"{shown(url)}" has several hosts: redis+sentinel:// or redis+cluster://')
    if db and (kind is Kind.CLUSTER or not db.isascii() or not db.isdigit()):
        raise ValueError(f'"{shown(url)}": "{db}" is not a database there')
    said, others = _sentinels(query)
    host, port = hosts[0]
    first = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    plain = f"{transport}://{login}{at}{first}{'/' + db if db else ''}{'?' + others if others else ''}"
    return RedisURL(kind=kind, hosts=hosts, name=name, plain=plain, sentinel=said)


def shown(url: str) -> str:
    """An address without what stands before its @, and without its options but `host`: either may be a password.

    >>> shown("redis://:secret@host:1/0?password=secret")
    'redis://host:1/0'
    >>> shown("postgresql:///panelmux?password=secret&host=/run/postgresql")
    'postgresql:///panelmux?host=/run/postgresql'
    """
    scheme, there, rest = url.partition("://")
    if not there:
        return url.rpartition("@")[2].partition("?")[0]
    place, _, options = rest.partition("?")
    host = parse_qs(options).get("host")
    return f"{scheme}://{place.rpartition('@')[2]}" + (f"?host={host[0]}" if host else "")


def password(url: str) -> str:
    """The password in an address; empty where there is none.

    >>> password("postgresql://panelmux:secret@host/db")
    'secret'
    """
    login = url.partition("://")[2].partition("?")[0].rpartition("@")[0]
    return login.partition(":")[2]


def _host(text: str, kind: Kind, url: str) -> tuple[str, int]:
    """h, h:1, [::1], [::1]:1."""
    if text.startswith("["):
        host, _, after = text[1:].partition("]")
        port = after.removeprefix(":")
    else:
        host, _, port = text.partition(":")
    if not host or (port and not (port.isascii() and port.isdigit() and 0 < int(port) < 65536)):
        raise ValueError(f'"{shown(url)}": "{text}" is not HOST or HOST:PORT')
    return host, int(port) if port else _PORTS[kind]


def _sentinels(query: str) -> tuple[dict[str, str], str]:
    """What of the options is for the Sentinels, and the others as they stood."""
    said, others = {}, []
    for option, value in parse_qsl(query, keep_blank_values=True):
        if option in {"sentinel_username", "sentinel_password"}:
            said[option.removeprefix("sentinel_")] = value
        else:
            others.append((option, value))
    return said, urlencode(others)
