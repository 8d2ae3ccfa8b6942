"""Our key at a panel, and how it is struck out of whatever a panel says."""

import html
import re
from typing import Final
from urllib.parse import quote, quote_plus

import msgspec

EXCERPT: Final = 300  # characters of an answer kept as evidence
_DEEPEST: Final = 32  # no dialect reads further down
SECRET: Final = 8  # characters; a shorter key is no secret, and striking it out would blot plain words


class Key:
    """A key that does not show itself."""

    def __init__(self, key: str) -> None:
        self._key = key
        self._writings = _writings(key) if len(key) >= SECRET else ()
        self._texts = tuple(writing.decode() for writing in self._writings)
        self._escaped = _escaped(key) if self._writings else None

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

    def struck_text(self, text: str) -> str:
        r"""Give a decoded `text` without the key, letters of it written as \u0061, %61 or &#97; among others too.

        >>> Key("aVeryLongKey").struck_text("no \\u0061VeryLong%4Bey")
        'no [key]'
        """
        for writing in self._texts:
            if writing in text:
                text = text.replace(writing, "[key]")
        if self._escaped is not None and any(sign in text for sign in "\\%&"):
            text = self._escaped.sub("[key]", text)
        return text

    def struck_document(self, value: object, *, deep: int = _DEEPEST) -> object:
        """Give a decoded JSON `value` with the key struck from all its texts and names; what lies deeper is None."""
        if isinstance(value, str):
            return self.struck_text(value)
        if not isinstance(value, list | dict):
            return value
        if not deep:
            return None
        if isinstance(value, list):
            return [self.struck_document(inner, deep=deep - 1) for inner in value]
        return {self.struck_text(name): self.struck_document(inner, deep=deep - 1) for name, inner in value.items()}

    def excerpt(self, text: bytes | bytearray) -> str:
        r"""The beginning of `text` on one line: no key, nothing that steers a terminal or a log.

        >>> Key("aVeryLongKey").excerpt(b"<b>no</b>\r\n aVeryLongKey")
        '<b>no</b> [key]'
        """
        words = self.struck_text(bytes(text[: EXCERPT * 16]).decode(errors="replace"))
        plain = "".join(letter if letter.isprintable() else " " for letter in words)
        return " ".join(plain.split())[:EXCERPT]


def _writings(key: str) -> tuple[bytes, ...]:
    """Longest first, so that no writing is broken by a shorter one inside it."""
    in_json = msgspec.json.encode(key)[1:-1].decode()
    every = {key, quote(key, safe=""), quote_plus(key), html.escape(key), in_json, in_json.replace("/", "\\/")}
    return tuple(sorted((writing.encode() for writing in every), key=len, reverse=True))


def _escaped(key: str) -> re.Pattern[str]:
    """Each letter of the key as itself or as an escape of JSON, of a URL or of HTML, in any mixture."""
    return re.compile("".join(f"(?:{'|'.join(_letter(letter))})" for letter in key), re.IGNORECASE)


def _letter(letter: str) -> tuple[str, ...]:
    code, plain = ord(letter), re.escape(letter)
    utf16, utf8 = letter.encode("utf-16-be").hex(), letter.encode().hex()
    json = "".join(rf"\\{{1,4}}u{utf16[at : at + 4]}" for at in range(0, len(utf16), 4))
    url = "".join(f"%{utf8[at : at + 2]}" for at in range(0, len(utf8), 2))
    return rf"\\{{0,4}}{plain}", json, url, f"&#0{{0,6}}{code};", f"&#x0{{0,6}}{code:x};"
