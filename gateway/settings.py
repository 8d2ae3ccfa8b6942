"""The environment as one struct. Rules say what is sold and bought; settings say where this process lives."""

import os
import re
import socket
from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Final, TypeAlias

import msgspec

from gateway.redis_url import redis_url, shown

PREFIX = "PANELMUX_"
_WORKERS: Final = 64
_REMEMBERED: Final = 1_000  # fewer would forget who asks again within two minutes
_SQLITE: Final = "sqlite:///"
_PROXIES: Final = "FORWARDED_ALLOW_IPS"  # what the web server's own setting is called: read where ours is absent
_REDIS_PREFIX: Final = r"[A-Za-z0-9_.:-]{1,64}"  # no braces: a cluster gives them a meaning of its own

Network: TypeAlias = IPv4Network | IPv6Network


class SettingError(ValueError):
    """A setting that cannot be; the text names it."""


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One field a variable: `rules` is PANELMUX_RULES, and so on.

    Attributes:
        rules: path of the rules file.
        ledger: sqlite:///relative.db, sqlite:////absolute.db, or postgresql://user@host/database.
        redis: where a Redis or Valkey is, as of `gateway.redis_url`; absent = kept in process.
        redis_prefix: what every key and channel there begins with: one for each deployment that shares nothing.
        host, port: where the gateway listens.
        workers: processes that sell; more than one needs a ledger in PostgreSQL.
        node: what people know this process by; absent = its machine and port. No two that run may have the same.
        state: a folder of this machine, for what the ledger in PostgreSQL cannot take at the moment.
        pepper: secret that keys are hashed with; absent = made once, in a file beside a ledger in SQLite.
        sync_wait_s: how long an `add` waits for a panel's answer before the customer is given the order id, seconds.
        send_s: an order that is not on its way so long after it was written is not sent, seconds.
        placing_s: one deadline for all routes of an order, seconds from its acceptance.
        catalogue_s, balance_s, status_s: seconds between two looks at a panel's list, our money there, young orders.
        anchor_s: seconds between two readings of our money at a panel that had orders meanwhile.
        drain_s: how long a stop waits for orders that are being placed, seconds.
        log: console or json.
        proxies: networks of the balancers whose word on a customer's address is believed.
        metrics_from: networks that may read /metrics.
        remembered: requests, and states of orders, that one process remembers, of each so many; some 500 bytes each.
        connections, connections_each: open at once, in all and of one address.
        key_rate, address_rate: calls a second of one key and of one address; 0 = any.
        shed_s: so far behind, new orders are refused, seconds.
    """

    rules: str = "routing_rules.yaml"
    ledger: str = "sqlite:///panelmux.db"
    redis: str | None = None
    redis_prefix: str = "panelmux:"
    host: str = "127.0.0.1"
    port: int = 8080
    workers: int = 1
    node: str = ""
    state: str = "."
    pepper: str | None = None
    sync_wait_s: float = 6.0
    send_s: float = 15.0
    placing_s: float = 60.0
    catalogue_s: float = 300.0
    balance_s: float = 60.0
    status_s: float = 30.0
    anchor_s: float = 600.0
    drain_s: float = 130.0
    log: str = "console"
    proxies: str = "127.0.0.1,::1"
    metrics_from: str = "127.0.0.0/8,::1"
    remembered: int = 50_000
    connections: int = 4096
    connections_each: int = 256
    key_rate: float = 0.0
    address_rate: float = 0.0
    shed_s: float = 2.0

    def __repr__(self) -> str:
        """Without the pepper, and without a password that the URL of Redis may hold."""
        redis = None if self.redis is None else shown(self.redis)
        return f"Settings(rules={self.rules!r}, ledger={shown(self.ledger)!r}, redis={redis!r}, port={self.port})"

    def __post_init__(self) -> None:
        try:
            if not is_postgres(self.ledger):
                sqlite_path(self.ledger)
        except ValueError as wrong:
            raise SettingError(f"PANELMUX_LEDGER: {wrong}, nor postgresql://USER@HOST/DATABASE") from None
        try:
            if self.redis is not None:
                redis_url(self.redis)
        except ValueError as wrong:
            raise SettingError(f"PANELMUX_REDIS: {wrong}") from None
        if re.fullmatch(_REDIS_PREFIX, self.redis_prefix) is None:
            raise SettingError(f'PANELMUX_REDIS_PREFIX: "{self.redis_prefix}" is not 1 to 64 letters, digits and -_.:')
        if not 0 <= self.port <= 65535:
            raise SettingError(f"PANELMUX_PORT: {self.port} is not a port")
        if not 1 <= self.workers <= _WORKERS:
            raise SettingError(f"PANELMUX_WORKERS: {self.workers} is not a number from 1 to {_WORKERS}")
        if self.workers != 1 and not is_postgres(self.ledger):
            raise SettingError(f"PANELMUX_WORKERS: {self.workers}: a SQLite ledger takes one process that sells")
        if is_postgres(self.ledger) and not self.pepper:
            raise SettingError("PANELMUX_PEPPER: a ledger in PostgreSQL needs one, the same on every node")
        if self.log not in {"console", "json"}:
            raise SettingError(f'PANELMUX_LOG: "{self.log}" is not console or json')
        for name in (
            "sync_wait_s",
            "send_s",
            "placing_s",
            "catalogue_s",
            "balance_s",
            "status_s",
            "anchor_s",
            "drain_s",
            "shed_s",
        ):
            if not 0 < getattr(self, name) < 10**6:
                raise SettingError(f"PANELMUX_{name.upper()}: {getattr(self, name)} is not a number of seconds above 0")
        if self.remembered < _REMEMBERED:
            raise SettingError(f"PANELMUX_REMEMBERED: {self.remembered} is not {_REMEMBERED} or more")
        for name in ("connections", "connections_each"):
            if getattr(self, name) < 1:
                raise SettingError(f"PANELMUX_{name.upper()}: {getattr(self, name)} is not a number above 0")
        for name in ("key_rate", "address_rate"):
            if not 0 <= getattr(self, name) < 10**6:
                raise SettingError(f"PANELMUX_{name.upper()}: {getattr(self, name)} is not calls a second; 0 = any")
        for name in ("proxies", "metrics_from"):
            networks(getattr(self, name), variable=f"PANELMUX_{name.upper()}")


def networks(text: str, *, variable: str = "") -> tuple[Network, ...]:
    """Addresses and networks apart by commas.

    Raises:
        SettingError: one of them is none; the text names `variable`.
    """
    found = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        try:
            found.append(ip_network(part))
        except ValueError:
            hint = "; name the networks of your balancers" if part == "*" else ""
            raise SettingError(
                f'{variable}: "{part}" is not an address or a network such as 10.0.0.0/8{hint}'
            ) from None
    return tuple(found)


def is_postgres(url: str) -> bool:
    """Whether a ledger's URL names a database in PostgreSQL, which many processes sell from."""
    return url.startswith(("postgresql://", "postgres://"))


def sqlite_path(url: str) -> Path:
    """The file that sqlite:///relative.db or sqlite:////absolute.db names.

    Raises:
        ValueError: it names none; the text shows no password.
    """
    path = url.removeprefix(_SQLITE)
    if path in {url, "", ":memory:"}:
        raise ValueError(f'"{shown(url)}" is not sqlite:///PATH')
    return Path(path)


def spill_path(settings: Settings) -> Path:
    """Where ids are kept that the ledger cannot take at the moment: no two processes have the same."""
    if not is_postgres(settings.ledger):
        return beside_ledger(settings.ledger, ".spill")
    name = "".join(c if c.isalnum() or c in ".-" else "-" for c in node_name(settings))
    return Path(settings.state).resolve() / f"panelmux-{name}.spill"


def node_name(settings: Settings) -> str:
    """What people know this process by."""
    return settings.node or f"{socket.gethostname()}:{settings.port}"


def beside_ledger(url: str, suffix: str) -> Path:
    """The file that is kept beside a ledger and belongs to it alone, whatever links lead to the ledger."""
    path = sqlite_path(url).resolve()
    return path.with_name(path.name + suffix)


def settings(environ: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings; a variable with our prefix that is no setting is a mistake, named.

    PANELMUX_LEDGER, PANELMUX_REDIS and PANELMUX_PEPPER may each stand in a file that PANELMUX_…_FILE names.

    Raises:
        SettingError: the text names the variable and what it may be.
    """
    known = {PREFIX + field.upper(): field for field in Settings.__struct_fields__}
    values: dict[str, str] = {}
    for name, value in _read(environ).items():
        if not name.startswith(PREFIX) or name.startswith(PREFIX + "_") or value == "":
            continue
        if name not in known:
            raise SettingError(f"{name}: not a setting; settings: {', '.join(known)}")
        values[known[name]] = value
    if environ.get(_PROXIES):
        networks(environ[_PROXIES], variable=_PROXIES)
        values.setdefault("proxies", environ[_PROXIES])
    try:
        return msgspec.convert(values, Settings, strict=False)
    except SettingError:
        raise
    except msgspec.ValidationError as wrong:
        text = str(wrong)
        for variable, field in known.items():
            if f"`$.{field}`" in text:
                kind = "a whole number" if "`int`" in text else "a number"
                raise SettingError(f'{variable}: "{values[field]}" is not {kind}') from None
        raise SettingError(text) from None


def _read(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment with what stands in files put in its place; a variable itself goes before its file."""
    found = dict(environ)
    for meant in (f"{PREFIX}LEDGER", f"{PREFIX}REDIS", f"{PREFIX}PEPPER"):  # what may hold a secret
        name = f"{meant}_FILE"
        path = found.pop(name, "")
        if path and not found.get(meant):
            try:
                found[meant] = Path(path).read_text().strip()
            except (OSError, UnicodeDecodeError) as wrong:
                why = getattr(wrong, "strerror", None) or "it is not text"
                raise SettingError(f"{name}: {path} cannot be read: {why}") from None
            if not found[meant]:
                raise SettingError(f"{name}: {path} is empty")
    return found
