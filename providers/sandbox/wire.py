"""As much of HTTP/1.1 as a panel needs: read a request from bytes, read its form, write an answer."""

import re
from collections.abc import Iterable, Mapping
from email import policy
from email.parser import BytesParser
from http import HTTPStatus
from typing import Final, Literal
from urllib.parse import parse_qsl

import msgspec

_HEAD_LIMIT: Final = 16_384  # bytes
_BODY_LIMIT: Final = 1_048_576  # bytes
_LIST_KEY: Final = re.compile(r"\[\w*\]$")

JSON: Final = "application/json"
HTML: Final = "text/html; charset=utf-8"


class Malformed(Exception):
    """Not a request that this server reads; answered with `code`, and the connection closed."""

    def __init__(self, code: int) -> None:
        super().__init__(str(code))
        self.code = code


class Head(msgspec.Struct, frozen=True):
    """The first lines of a request, and how many bytes they and the body take."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    head_size: int
    body_size: int
    keep_alive: bool


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What goes out on a connection, and what becomes of the connection then.

    Attributes:
        wait_s: seconds before the first byte.
        drip_s: for so many seconds, a byte now and then comes after `raw`.
    """

    raw: bytes = b""
    then: Literal["keep", "fin", "reset", "hold"] = "keep"
    wait_s: float = 0
    drip_s: float = 0


def head(buffer: bytes | bytearray) -> Head | None:
    """The head of the request that `buffer` begins with; None until all of it is there.

    Raises:
        Malformed: it never will be one.
    """
    end = buffer.find(b"\r\n\r\n")
    if end < 0:
        if len(buffer) > _HEAD_LIMIT:
            raise Malformed(431)
        return None
    first, *lines = buffer[:end].decode("latin-1").split("\r\n")
    match first.split(" "):
        case [method, target, "HTTP/1.1" | "HTTP/1.0" as version]:
            pass
        case _:
            raise Malformed(400)
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    if "transfer-encoding" in headers:
        raise Malformed(411)
    length = headers.get("content-length", "0")
    if not (length.isascii() and length.isdigit()):
        raise Malformed(400)
    if int(length) > _BODY_LIMIT:
        raise Malformed(413)
    connection = headers.get("connection", "").lower()
    path, _, query = target.partition("?")
    return Head(
        method=method,
        path=path,
        query=query,
        headers=headers,
        head_size=end + 4,
        body_size=int(length),
        keep_alive=connection != "close" and (version == "HTTP/1.1" or connection == "keep-alive"),
    )


def form(request: Head, body: bytes) -> dict[str, str]:
    """The fields of a request: of its form, multipart or JSON body, which go before those of its query.

    Lists come as one text: `orders[]=1&orders[]=2`, `orders[0]=…` and JSON arrays as "1,2", other arrays as lines.
    """
    pairs: list[tuple[str, str]] = parse_qsl(request.query, keep_blank_values=True) if request.query else []
    kind = request.headers.get("content-type", "")
    if body.lstrip().startswith(b"{"):
        pairs += _json(body)
    elif kind.startswith("multipart/"):
        pairs += _multipart(kind, body)
    elif body:
        pairs += parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True)
    fields: dict[str, str] = {}
    lists: dict[str, list[str]] = {}
    for name, value in pairs:
        if name.endswith("]"):
            lists.setdefault(_LIST_KEY.sub("", name), []).append(value)
        else:
            fields[name] = value
    return fields | {name: _joined(name, values) for name, values in lists.items()}


def _joined(name: str, values: Iterable[str]) -> str:
    return ("," if name in {"orders", "refills", "order"} else "\n").join(values)


def _json(body: bytes) -> list[tuple[str, str]]:
    try:
        given = msgspec.json.decode(body, type=dict[str, object])
    except msgspec.MsgspecError:
        return []
    return [
        (name, _joined(name, map(str, value)) if isinstance(value, list) else str(value))
        for name, value in given.items()
        if value is not None
    ]


def _multipart(kind: str, body: bytes) -> list[tuple[str, str]]:
    message = BytesParser(policy=policy.HTTP).parsebytes(b"Content-Type: " + kind.encode() + b"\r\n\r\n" + body)
    pairs = []
    for part in message.iter_parts():
        name = part.get_param("name", header="content-disposition")
        content = part.get_payload(decode=True)
        if name and isinstance(content, bytes):
            pairs.append((str(name), content.decode("utf-8", "replace")))
    return pairs


def response(
    body: bytes, code: int = 200, kind: str = JSON, extra: Iterable[str] = (), *, length: int | None = None
) -> bytes:
    """An answer on the wire. `extra` are whole header lines; `length` is what Content-Length says, -1 for none."""
    size = len(body) if length is None else length
    lines = [f"HTTP/1.1 {code} {reason(code)}", f"Content-Type: {kind}", *extra]
    if size >= 0:
        lines.append(f"Content-Length: {size}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def reason(code: int) -> str:
    try:
        return HTTPStatus(code).phrase
    except ValueError:
        return "Unknown"
