"""What a panel's answers say of orders, refills and our money, in any of the field's shapes.

Each function takes a document and the ids that were asked for, and gives what the panel told of them. What was not
asked for is not told; what fits no shape is not told either.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import islice
from typing import Final

from providers.api_v2.document import failure
from providers.api_v2.placed import order_id
from providers.api_v2.statuses import ENVELOPE, folded, order_status, refill_status
from providers.api_v2.values import charge, count, currency, identifier, number, words
from providers.api_v2.words import known
from providers.base import Balance, RefillStatus, Refusal, Requested, Status
from providers.errors import Reason

CHILDREN: Final = 1_000
"""Orders of a drip-feed or a subscription that are told of."""

ENTRIES: Final = 20_000
"""Entries of a list that are looked at: panels were seen to tell of all our orders, whatever was asked."""

_SAID: Final = 300  # characters of a panel's words

_WRAPPERS: Final = ("data", "result", "statuses", "refills", "orders")
_DONE: Final = frozenset(
    {"1", "true", "yes", "ok", "success", "pending", "canceled", "cancelled", "cancelrequestsaresubmitted"}
)


def statuses(document: object, asked: Sequence[str]) -> dict[str, Status | Refusal]:
    found = ((name, _status(told)) for name, told in _last(document, asked, by="order", key="status"))
    return {name: status for name, status in found if status is not None}


def refills(document: object, asked: Sequence[str]) -> dict[str, str | Refusal]:
    found = ((name, _refill(told)) for name, told in _last(document, asked, by="order", key="refill"))
    return {name: refill for name, refill in found if refill is not None}


def refill_statuses(document: object, asked: Sequence[str]) -> dict[str, RefillStatus | Refusal | None]:
    answer: dict[str, RefillStatus | Refusal | None] = {}
    for name, told in _last(document, asked, by="refill", key="status"):
        entry = {"status": told} if isinstance(told, str) else told
        no, word = _refusal(entry), _word(entry)
        meaning = known(word)
        if no is not None:
            answer[name] = no
        elif folded(word) == "notfound" or (meaning is not None and meaning.reason is Reason.REFILL):
            answer[name] = Refusal(Reason.REFILL, word)
        elif word:
            answer[name] = refill_status(word)
    return answer


def cancels(document: object, asked: Sequence[str]) -> dict[str, Requested | Refusal]:
    found = ((name, _cancel(told)) for name, told in _last(document, asked, by="order", key="cancel"))
    return {name: cancel for name, cancel in found if cancel is not None}


def balance(document: object) -> Balance | None:
    """Find our money at the panel, or None."""
    if not isinstance(document, dict):
        return None
    inner = document.get("data")
    for place in (document, inner if isinstance(inner, dict) else {}):
        for name in ("balance", "funds", "amount"):
            amount = number(place.get(name))
            if amount is not None:
                return Balance(amount, currency(place.get("currency")))
    return None


def _last(document: object, asked: Sequence[str], *, by: str, key: str) -> Collection[tuple[str, object]]:
    """One entry of each id, so that a thousand of one id are read once; the last counts."""
    return dict(_told(document, asked, by=by, key=key)).items()


def _told(
    document: object, asked: Sequence[str], *, by: str, key: str, wrapped: bool = False
) -> Iterator[tuple[str, object]]:
    """Pair the ids asked for with what the document holds of each.

    `by` names the field with an entry's id, `key` the one with its answer. A list without ids says nothing of many.
    """
    one, wanted = (asked[0] if len(asked) == 1 else None), frozenset(asked)
    if isinstance(document, list):
        yield from _listed(document, asked, by=by)
        return
    if not isinstance(document, dict):
        return
    keyed = [(name, told) for name, told in document.items() if name in wanted]
    if keyed:
        yield from keyed
        return
    for wrapper in () if wrapped else _WRAPPERS[: 5 if one is None else 4]:  # under "orders" stand children of one
        inner = document.get(wrapper)
        if isinstance(inner, list) or (isinstance(inner, dict) and (one is None or inner.keys() & {key, one})):
            within = list(_told(inner, asked, by=by, key=key, wrapped=True))
            if within:
                yield from within
                return
    if one is not None and _named(document, by, f"{by}_id") in {one, None}:
        yield one, document


def _listed(entries: Sequence[object], asked: Sequence[str], *, by: str) -> Iterator[tuple[str, object]]:
    wanted, names = frozenset(asked), (by, f"{by}_id", "id")
    for entry in islice(entries, ENTRIES):
        if not isinstance(entry, dict):
            continue
        name = _named(entry, *names)
        if name is not None and name in wanted:
            yield name, entry
        elif name is None and len(entries) == len(asked) == 1:
            yield asked[0], entry


def _named(entry: Mapping[str, object], *names: str) -> str | None:
    return next((name for key in names if key in entry and (name := identifier(entry[key])) is not None), None)


def _refusal(told: object) -> Refusal | None:
    text = failure(told)
    if text is None and isinstance(told, dict):
        inner = (told.get(key) for key in ("status", "refill", "cancel"))
        text = next((said for value in inner if isinstance(value, dict) and (said := failure(value))), None)
    if text is None:
        return None
    word = known(text)
    return Refusal(word.reason if word is not None else Reason.OTHER, words(text, at_most=_SAID))


def _word(told: object) -> str:
    """The status word of an entry; `{"status": {"status": "…"}}` was seen too."""
    if not isinstance(told, dict):
        return ""
    word = told.get("status")
    return words(word.get("status") if isinstance(word, dict) else word, at_most=100)


def _status(told: object) -> Status | Refusal | None:
    if isinstance(told, str):
        if known(told) is None and order_status(told) is not None:
            return Status(status=order_status(told), word=words(told, at_most=100))
        return _refusal(told)
    no = _refusal(told)
    if no is not None or not isinstance(told, dict):
        return no
    word = _word(told)
    start = told.get("start_count", told.get("start_counter"))
    figures = (told.get("charge"), told.get("remains"), start)
    if not word or (folded(word) in ENVELOPE and all(figure is None for figure in figures)):
        return None
    children = told.get("orders")
    return Status(
        status=order_status(word),
        word=word,
        charge=charge(told.get("charge")),
        start_count=_units(start),
        remains=_remains(told.get("remains")),
        currency=currency(told.get("currency")),
        runs=_units(told.get("runs")),
        posts=_units(told.get("posts")),
        expiry=words(told.get("expiry"), at_most=40) or None,
        orders=tuple(filter(None, map(identifier, islice(children, CHILDREN)))) if isinstance(children, list) else (),
    )


def _refill(told: object) -> str | Refusal | None:
    plain = told.get("refill", told.get("refill_id")) if isinstance(told, dict) else told
    remote_id = order_id(plain)
    if remote_id is not None and any(letter.isdigit() for letter in remote_id):
        return remote_id
    no = _refusal(told) or (_refusal(plain) if isinstance(plain, str) else None)
    return no or (Refusal(Reason.REFILL, f"refill: {plain}"[:_SAID]) if isinstance(plain, int) else None)


def _cancel(told: object) -> Requested | Refusal | None:
    """Read what became of a request: `1`, `true`, a number, "Pending" are a yes; so is a lone {"ok": "true"}."""
    no = _refusal(told) if isinstance(told, dict) else None
    if no is not None:
        return no
    plain = told
    for _ in range(2):  # {"cancel": {"status": "success"}}
        if isinstance(plain, dict):
            names = ("cancel", "ok", "success", "status")
            plain = next((plain[name] for name in names if plain.get(name) is not None), None)
    number = identifier(plain)
    if plain is True or (number is not None and number.isdecimal()):
        return Requested()
    if isinstance(plain, str):
        return Requested() if folded(plain) in _DONE else _refusal(plain)
    return Refusal(Reason.CANCEL, f"cancel: {plain}"[:_SAID]) if isinstance(plain, int) else None


def _units(raw: object) -> int | None:
    units = count(raw)
    return units if units is not None and units >= 0 else None


def _remains(raw: object) -> int | None:
    """Nothing remains where more was delivered than ordered: panels write -5, or +5."""
    if isinstance(raw, str) and raw.strip().startswith("+"):
        return 0 if count(raw) is not None else None
    remains = count(raw)
    return max(remains, 0) if remains is not None else None
