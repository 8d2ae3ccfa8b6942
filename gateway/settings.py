"""The environment as one struct. Rules say what is sold and bought; settings say where this process lives."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from gateway.redis_url import redis_url, shown

PREFIX = "PANELMUX_"
_SQLITE: Final = "sqlite:///"
_REDIS_PREFIX: Final = r"[A-Za-z0-9_.:-]{1,64}"  # no braces: a cluster gives them a meaning of its own


class SettingError(ValueError):
    """A setting that cannot be; the text names it."""


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One field a variable: `rules` is PANELMUX_RULES, and so on.

    Attributes:
        rules: path of the rules file.
        ledger: sqlite:///relative.db or sqlite:////absolute.db.
        redis: where a Redis or Valkey is, as of `gateway.redis_url`; absent = kept in process.
        redis_prefix: what every key and channel there begins with: one for each deployment that shares nothing.
        host, port: where the gateway listens.
        workers: processes that sell; more than one needs a ledger that takes several writers.
        pepper: secret that keys are hashed with; absent = made once, in a file beside the ledger.
        sync_wait_s: how long an `add` waits for a panel's answer before the customer is given the order id, seconds.
        send_s: an order that is not on its way so long after it was written is not sent, seconds.
        placing_s: one deadline for all routes of an order, seconds from its acceptance.
        catalogue_s, balance_s, status_s: seconds between two looks at a panel's list, our money there, young orders.
        anchor_s: seconds between two readings of our money at a panel that had orders meanwhile.
        drain_s: how long a stop waits for orders that are being placed, seconds.
        log: console or json.
    """

    rules: str = "routing_rules.yaml"
    ledger: str = "sqlite:///panelmux.db"
    redis: str | None = None
    redis_prefix: str = "panelmux:"
    host: str = "127.0.0.1"
    port: int = 8080
    workers: int = 1
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

    def __repr__(self) -> str:
        """Without the pepper, and without a password that the URL of Redis may hold."""
        redis = None if self.redis is None else shown(self.redis)
        return f"Settings(rules={self.rules!r}, ledger={self.ledger!r}, redis={redis!r}, port={self.port})"

    def __post_init__(self) -> None:
        try:
            sqlite_path(self.ledger)
        except ValueError as wrong:
            raise SettingError(f"PANELMUX_LEDGER: {wrong}") from None
        try:
            if self.redis is not None:
                redis_url(self.redis)
        except ValueError as wrong:
            raise SettingError(f"PANELMUX_REDIS: {wrong}") from None
        if re.fullmatch(_REDIS_PREFIX, self.redis_prefix) is None:
            raise SettingError(f'PANELMUX_REDIS_PREFIX: "{self.redis_prefix}" is not 1 to 64 letters, digits and -_.:')
        if not 0 <= self.port <= 65535:
            raise SettingError(f"PANELMUX_PORT: {self.port} is not a port")
        if self.workers != 1:
            raise SettingError(f"PANELMUX_WORKERS: {self.workers}: a SQLite ledger takes one process that sells")
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
        ):
            if not 0 < getattr(self, name) < 10**6:
                raise SettingError(f"PANELMUX_{name.upper()}: {getattr(self, name)} is not a number of seconds above 0")


def sqlite_path(url: str) -> Path:
    """The file that sqlite:///relative.db or sqlite:////absolute.db names.

    Raises:
        ValueError: it names none.
    """
    path = url.removeprefix(_SQLITE)
    if path in {url, "", ":memory:"}:
        raise ValueError(f'"{url}" is not sqlite:///PATH')
    return Path(path)


def beside_ledger(url: str, suffix: str) -> Path:
    """The file that is kept beside a ledger and belongs to it alone, whatever links lead to the ledger."""
    path = sqlite_path(url).resolve()
    return path.with_name(path.name + suffix)


def settings(environ: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings; a variable with our prefix that is no setting is a mistake, named.

    Raises:
        SettingError: the text names the variable and what it may be.
    """
    known = {PREFIX + field.upper(): field for field in Settings.__struct_fields__}
    values: dict[str, str] = {}
    for name, value in environ.items():
        if not name.startswith(PREFIX) or value == "":
            continue
        if name not in known:
            raise SettingError(f"{name}: not a setting; settings: {', '.join(known)}")
        values[known[name]] = value
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
