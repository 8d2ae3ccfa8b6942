"""Our key at a panel, and how it is struck out of whatever a panel says."""

import html
from typing import Final
from urllib.parse import quote, quote_plus

import msgspec

EXCERPT: Final = 300  # characters of an answer kept as evidence
SECRET: Final = 8  # characters; a shorter key is no secret, and striking it out would blot plain words


class Key:
    """A key that does not show itself."""

    def __init__(self, key: str) -> None:
        self._key = key
        self._writings = _writings(key) if len(key) >= SECRET else ()

    def __repr__(self) -> str:
        return "Key([key])"

    def reveal(self) -> str:
        return self._key

    def struck(self, text: bytes) -> bytes:
        """Give `text` without the key, in whatever writing it stands there."""
        for writing in self._writings:
            if writing in text:
                text = text.replace(writing, b"[key]")
        return text

    def excerpt(self, text: bytes | bytearray) -> str:
        r"""The beginning of `text` on one line: no key, nothing that steers a terminal or a log.

        >>> Key("aVeryLongKey").excerpt(b"<b>no</b>\r\n aVeryLongKey")
        '<b>no</b> [key]'
        """
        words = self.struck(bytes(text[: EXCERPT * 16])).decode(errors="replace")
        plain = "".join(letter if letter.isprintable() else " " for letter in words)
        return " ".join(plain.split())[:EXCERPT]


def _writings(key: str) -> tuple[bytes, ...]:
    """Longest first, so that no writing is broken by a shorter one inside it."""
    in_json = msgspec.json.encode(key)[1:-1].decode()
    every = {key, quote(key, safe=""), quote_plus(key), html.escape(key), in_json, in_json.replace("/", "\\/")}
    return tuple(sorted((writing.encode() for writing in every), key=len, reverse=True))
