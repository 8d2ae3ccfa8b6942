"""Which orders or refills a call is about."""

from typing import Final

import msgspec

from gateway.api_v2.fields import MAX_NUMBER
from gateway.api_v2.form import Form, wrong
from gateway.errors import BadForm

MAX_READ: Final = 1000
"""Ids of a call that changes nothing: ten times what the field documents, since some clients send 500."""

MAX_WRITE: Final = 100
"""Ids of a call that asks panels for something."""

_MAX_SHOWN: Final = 32
"""Characters of a text that is no id, shown back to who sent it."""

_MAX_DIGITS: Final = 18
"""Longer numbers do not fit the 64 bits that JSON readers keep."""


class Ids(msgspec.Struct, frozen=True):
    """What was asked for, each once, in the order asked; `many` = the answer has a place for each.

    A number stands as one, even where no id can be it; any other text as it was sent, capped.
    """

    asked: tuple[int | str, ...]
    many: bool

    def numbers(self) -> list[int]:
        """Those that can be ids."""
        return [id for id in self.asked if isinstance(id, int) and 0 < id <= MAX_NUMBER]


def ids(form: Form, one: str, *, at_most: int) -> Ids:
    """The ids in the field `one` or its plural; the plural goes first where both were sent.

    Raises:
        BadForm: none, or more than `at_most`.
    """
    listed = [id for text in form.many(one + "s") for id in _split(text)]
    many = bool(listed)
    if not many:
        listed = _split(form.one(one))
        many = len(listed) > 1
    if not listed:
        raise wrong(one)
    if len(listed) > at_most:
        raise BadForm(f"Incorrect {one} IDs: more than {at_most}")
    return Ids(tuple(dict.fromkeys(_id(text) for text in listed)), many)


def _split(text: str) -> list[str]:
    return text.replace(",", " ").split()


def _id(text: str) -> int | str:
    if text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS:
        return int(text)
    return text[:_MAX_SHOWN]
