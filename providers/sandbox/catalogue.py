"""What a sandbox sells: rows served exactly as they stand, and read leniently when one of them is ordered."""

from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Final, Self

import msgspec

from providers.service_types import folded

_DECODE: Final = msgspec.json.Decoder(dict[str, object], float_hook=Decimal)
_ENCODE: Final = msgspec.json.Encoder(decimal_format="number")
_LIST: Final = msgspec.json.Decoder(list[msgspec.Raw])
_WRAPPED: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_WRAPPERS: Final = ("services", "data", "result", "items", "list", "value")

_NO_LIMIT: Final = 2_147_483_647
"""Where a row says nothing of its maximum."""


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """One row as the panel itself understands it; `rate` is of 1000 units or, for the types in `PER_ORDER`, of one."""

    service: str
    type: str
    rate: Decimal
    min: int
    max: int
    refill: bool
    cancel: bool
    dripfeed: bool


class Row(msgspec.Struct, frozen=True):
    """One line of the list: its JSON, and what it sells. None for a line that nobody can order."""

    raw: bytes
    listing: Listing | None


class Catalogue(msgspec.Struct, frozen=True):
    """A panel's whole list. `body` is the answer to `services`; `listings` is by id, the first of equal ids."""

    rows: tuple[Row, ...]
    body: bytes
    listings: Mapping[str, Listing]

    @classmethod
    def of(cls, rows: Iterable[Mapping[str, object]]) -> Self:
        """Build from rows as Python has them; a `Decimal` is written as a number."""
        return cls._from(_ENCODE.encode(row) for row in rows)

    @classmethod
    def _from(cls, raws: Iterable[bytes]) -> Self:
        rows = tuple(Row(raw, _listing(raw)) for raw in raws)
        listings: dict[str, Listing] = {}
        for row in rows:
            if row.listing is not None:
                listings.setdefault(row.listing.service, row.listing)
        return cls(rows, b"[" + b",".join(row.raw for row in rows) + b"]", listings)

    def priced(self, factor: Decimal) -> Self:
        """Every rate times `factor`, each in the shape it had."""
        return self._from(_priced(row.raw, factor) for row in self.rows)

    def changed(self, service: str, **fields: object) -> Self:
        """The row of `service` with other fields; a field set to None is left out."""
        return self._from(
            _changed(row.raw, fields) if row.listing and row.listing.service == service else row.raw
            for row in self.rows
        )

    def without(self, *services: str) -> Self:
        return self._from(row.raw for row in self.rows if not (row.listing and row.listing.service in services))

    def halved(self) -> Self:
        """The first half of the list."""
        return self._from(row.raw for row in self.rows[: len(self.rows) // 2])


def load(path: Path) -> Catalogue:
    """Read a file that holds a panel's answer to `services`: a list of rows, bare or wrapped in an object.

    Raises:
        ValueError: no list of rows is in it.
    """
    body = _utf8(path.read_bytes())
    try:
        raws = _rows(body)
    except msgspec.MsgspecError as exc:
        raise ValueError(f'{path}: no list of services: {exc}; wanted a list, or an object with "services"') from exc
    return Catalogue._from(bytes(raw) for raw in raws)  # noqa: SLF001 - the one other constructor of this file


def _utf8(body: bytes) -> bytes:
    if body.startswith((b"\xff\xfe", b"\xfe\xff")):
        return body.decode("utf-16").encode()
    return body.removeprefix(b"\xef\xbb\xbf")


def _rows(body: bytes) -> list[msgspec.Raw]:
    if not body.lstrip().startswith(b"{"):
        return _LIST.decode(body)
    whole = _WRAPPED.decode(body)
    for word in _WRAPPERS:
        if word in whole:
            return _LIST.decode(whole[word])
    raise msgspec.ValidationError("an object without a list")


def _listing(raw: bytes) -> Listing | None:
    try:
        row = _DECODE.decode(raw)
    except msgspec.MsgspecError:
        return None
    service = str(row.get("service", row.get("id", ""))).strip()
    rate = _amount(row.get("rate"))
    if not service or rate is None:
        return None
    return Listing(
        service=service,
        type=folded(str(row.get("type") or "Default")),
        rate=rate,
        min=_count(row.get("min"), 1),
        max=_count(row.get("max"), _NO_LIMIT),
        refill=_yes(row.get("refill")),
        cancel=_yes(row.get("cancel", row.get("canceling_is_available"))),
        dripfeed=_yes(row.get("dripfeed", True)),
    )


def _amount(value: object) -> Decimal | None:
    """Numbers and text, spaces between thousands, a comma for the point: "1 234,50" is 1234.50."""
    text = "".join(str(value).split())
    text = text.replace(",", "") if "." in text else text.replace(",", ".")
    try:
        amount = Decimal(text)
    except InvalidOperation:
        return None
    return amount if amount.is_finite() and amount >= 0 else None


def _count(value: object, absent: int) -> int:
    amount = _amount(value)
    return absent if amount is None else int(amount)


def _yes(value: object) -> bool:
    return str(value).strip().lower() in {"true", "1", "yes"}


def _priced(raw: bytes, factor: Decimal) -> bytes:
    row = _DECODE.decode(raw)
    rate = _amount(row.get("rate"))
    if rate is None:
        return raw
    places = max(-int(rate.as_tuple().exponent), 4)
    priced = (rate * factor).quantize(Decimal(1).scaleb(-places))
    row["rate"] = f"{priced:f}" if isinstance(row["rate"], str) else priced
    return _ENCODE.encode(row)


def _changed(raw: bytes, fields: Mapping[str, object]) -> bytes:
    row = {**_DECODE.decode(raw), **fields}
    return _ENCODE.encode({name: value for name, value in row.items() if value is not None})
