"""Plain matchers over an order: `when: {quantity: ">= 1000", link: "*instagram.com*"}`."""

import msgspec


class Condition(msgspec.Struct, frozen=True, kw_only=True):
    """All clauses must hold. Each clause names a field of the order."""

    quantity: str | None = None
    link: str | None = None
