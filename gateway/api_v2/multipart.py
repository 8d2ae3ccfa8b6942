"""Multipart bodies: what PHP's cURL sends when it is handed an array, and browsers' FormData."""

from typing import Final

from python_multipart import FormParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import Field, File, parse_options_header

from gateway.errors import BadForm

_KIND: Final = b"multipart/form-data"


def boundary(content_type: bytes) -> bytes | None:
    """How the parts of a multipart body are divided; None for other kinds, and for the bare word without a boundary,
    which clients set by hand over other bodies.
    """
    if content_type[: len(_KIND)].lower() != _KIND or b"boundary=" not in content_type.lower():
        return None
    return parse_options_header(content_type)[1].get(b"boundary", b"")


def multipart(body: bytes, boundary: bytes) -> list[tuple[str, str | None]]:
    """The fields of a whole body, in order; a file, or a body cut short, refuses all of it."""
    parts: list[tuple[bytes, bytes]] = []
    ended: list[bool] = []

    def keep(field: Field) -> None:
        parts.append((field.field_name or b"", field.value or b""))

    def refuse(_: File) -> None:
        raise BadForm("Incorrect request: files are not accepted")

    def end() -> None:
        ended.append(True)

    try:
        parser = FormParser(_KIND.decode(), keep, refuse, end, boundary=boundary)
        parser.write(body)
    except FormParserError:
        raise BadForm("Incorrect request: not multipart") from None
    if not ended:
        raise BadForm("Incorrect request: cut short")
    try:
        return [(name.decode().strip(), value.decode()) for name, value in parts]
    except UnicodeDecodeError:
        raise BadForm("Incorrect request: not UTF-8") from None
