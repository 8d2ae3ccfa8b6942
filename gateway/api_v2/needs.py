"""What the edge asks of the rest of the house: who is calling, what is sold, and the doing of orders."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Protocol

from gateway.catalog.services import Service
from gateway.ledger.records import Account, Key, Order
from providers.base import RefillStatus
from providers.service_types import OrderFields


class Accounts(Protocol):
    async def by_key(self, key: str, /) -> tuple[Key, Account]:
        """Whose key it is, or WrongKey."""
        ...

    def last_known(self, key: str, /) -> tuple[Key, Account] | None:
        """Whose key it was when that was last known; None where that is too long ago, or never was."""
        ...


class Admission(Protocol):
    async def admit(self, key: Key, account: Account, action: str, address: str | None, /) -> None:
        """Nothing if the call may be made; else WrongKey, NotAllowed or TooMany."""


class Catalog(Protocol):
    @property
    def version(self) -> int:
        """Another number whenever what is sold has changed."""
        ...

    def undecided(self, id: int, /) -> bool:
        """Whether a service that is not found may yet be sold, once a silent panel is heard of."""
        ...

    def sold_to(self, account: str, id: int, /) -> Service | None:
        """A service as an account has it; None where it is not sold to it."""
        ...

    async def list_for(self, account: str, /) -> Sequence[Service]:
        """All that an account may buy."""
        ...

    def is_apart(self, account: str, /) -> bool:
        """Whether the account has a list of its own."""
        ...


class Orders(Protocol):
    """The account's orders. An id that is absent from an answer is not theirs, or nobody's: the two look the same.

    Every method raises `GatewayError` where provably nothing was changed, and anything else where it may have been.
    """

    async def add(
        self, account: Account, service: Service, fields: OrderFields, /, *, request_id: str | None, repeats: str
    ) -> int:
        """Place an order; gives its id. `request_id` is the customer's own name for it, `repeats` the key's policy."""
        ...

    def is_known(
        self, account: Account, service: Service, fields: OrderFields, /, *, request_id: str | None, repeats: str
    ) -> bool:
        """Whether such an `add` is answered with an order that is there or on its way, and buys nothing."""
        ...

    async def route(self, order: int, /) -> str:
        """Where an order went, and by which policy and rules, as one line of ASCII."""
        ...

    def heard(self, order: int, /) -> None:
        """The answer that named this order was written to a customer who was still there."""

    async def status(self, account: Account, ids: Sequence[int], /) -> Mapping[int, Order]: ...

    async def refill(self, account: Account, ids: Sequence[int], /) -> Mapping[int, int | str]:
        """The refill's id by order, or the words of its refusal."""
        ...

    async def refill_status(self, account: Account, ids: Sequence[int], /) -> Mapping[int, RefillStatus]: ...

    async def cancel(self, account: Account, ids: Sequence[int], /) -> Mapping[int, str | None]:
        """By order: None where the cancel was asked for, or the words of its refusal."""
        ...

    async def balance(self, account: Account, /) -> Decimal: ...
