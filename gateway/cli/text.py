"""Values as people read them: hostile text made harmless, times, ages."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

import msgspec

_SPACES: Final = re.compile(r"\s+")
_NO_CONNECTION: Final = re.compile(r"\w+: Cannot connect to host (\S+) .*\[(.*)\]$", re.DOTALL)


def clean(text: str) -> str:
    r"""One line without control, direction and other unprintable characters: panels and customers write what they like.

    >>> clean("Likes\x1b[31m\r\n  | fast\u202e")
    'Likes[31m | fast'
    """
    return printable(_SPACES.sub(" ", text).strip())


def printable(text: str) -> str:
    """The text without what a terminal would act upon; its spaces stay."""
    return text if text.isprintable() else "".join(char for char in text if char.isprintable())


def escaped(json: str, *, ascii: bool = False) -> str:
    r"""JSON whose every unprintable character is written as an escape: harmless on a terminal, the same to a parser.

    `ascii`: so is every other one that not all encodings have.

    >>> escaped('{"name":"a\x9b31m"}')
    '{"name":"a\\u009b31m"}'
    """

    def stays(char: str) -> bool:
        return char == "\n" or (char.isprintable() and (char.isascii() or not ascii))

    return "".join(char if stays(char) else _escape(char) for char in json)


def _escape(char: str) -> str:
    units = char.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))


def moment(ms: int) -> str:
    """A time of the ledger, in UTC.

    >>> moment(1_700_000_000_250)
    '2023-11-14 22:13:20Z'
    """
    return datetime.fromtimestamp(ms // 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def age(seconds: float) -> str:
    """How long ago, in one unit.

    >>> age(0.4), age(59), age(3_600), age(200_000)
    ('0 s', '59 s', '60 min', '2 d')
    """
    for size, unit, below in ((1, "s", 120), (60, "min", 7_200), (3_600, "h", 172_800)):
        if seconds < below:
            return f"{int(seconds // size)} {unit}"
    return f"{int(seconds // 86_400)} d"


def shortened(text: str, most: int) -> str:
    """At most so many characters, the middle left out: the ends of links tell more than their middle.

    >>> shortened("https://x.example/a/very/long/path/1", 20)
    'https://x.…ng/path/1'
    """
    if len(text) <= most:
        return text
    head = most // 2
    return f"{text[:head]}…{text[head + 1 - most :]}"


def short(what: str) -> str:
    """What went wrong on the way to a panel, without the program's own words around it.

    >>> short("ClientConnectorError: Cannot connect to host p.example:443 ssl:default [Name or service not known]")
    'cannot connect to p.example:443: name or service not known'
    >>> short("ClientConnectorError: Cannot connect to host ::1:80 ssl:default [Connect call failed ('::1', 80)]")
    'cannot connect to ::1:80'
    >>> short("HTTP 502")
    'HTTP 502'
    """
    found = _NO_CONNECTION.match(what)
    if found is None:
        return what
    why = found[2].lower()
    return f"cannot connect to {found[1]}" + ("" if "connect call failed" in why else f": {why}")


def said(json: str) -> str:
    """A JSON object as people read it, without what is empty; anything else as it stands.

    >>> said('{"http": 502, "phase": "headers sent", "reason": "", "told": {"status": "Partial", "remains": 12}}')
    'http 502, phase headers sent, told (status Partial, remains 12)'
    >>> said('{"what": "TimeoutError: no bytes", "phase": "sent", "error": "TimeoutError", "ms": 8000}')
    'TimeoutError: no bytes, phase sent, after 8000 ms'
    """
    try:
        value = msgspec.json.decode(json)
    except msgspec.MsgspecError:
        return json
    if not isinstance(value, dict):
        return json
    return _pairs(value)


def _pairs(value: Mapping[str, object]) -> str:
    what = str(value.get("what", ""))
    kept = {name: one for name, one in value.items() if one not in (None, "", {}, [])}
    if what.startswith(f"{kept.get('error')}: "):
        del kept["error"]  # what was seen begins with its name
    return ", ".join(_pair(name, _plain(one)) for name, one in kept.items())


def _pair(name: str, text: str) -> str:
    if name.endswith("_ms") and text.isdecimal():
        return f"{name.removesuffix('_ms')} {moment(int(text))}"
    return text if name == "what" else f"after {text} ms" if name == "ms" else f"{name} {text}"


def _plain(value: object) -> str:
    if isinstance(value, dict):
        return f"({_pairs(value)})"
    if isinstance(value, list):
        return " | ".join(map(_plain, value))
    return short(value) if isinstance(value, str) else msgspec.json.encode(value).decode()
