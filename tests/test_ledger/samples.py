"""An order to place, and short ways to bring one somewhere."""

from decimal import Decimal
from typing import Any, Final

from gateway.ledger.protocol import Ledger
from gateway.ledger.records import Accepted, Account, NewPlacement, Next, Placed
from providers.base import OrderStatus, Status

CHARGE: Final = Decimal("0.5")
ZERO: Final = Decimal(0)


class Clock:
    """Milliseconds that pass when a test says so."""

    def __init__(self) -> None:
        self.ms = 1_700_000_000_000

    def __call__(self) -> int:
        return self.ms


def placement(account: Account, **changes: Any) -> NewPlacement:
    offer: dict[str, Any] = {
        "panel": "alpha",
        "remote_service": "7",
        "cost": Decimal("0.4"),
        "remote_cost": Decimal("0.4"),
    }
    offer |= {name: changes.pop(name) for name in (*offer, "settle_s") if name in changes}
    fields: dict[str, Any] = {
        "account": account.id,
        "service": 1,
        "type": "Default",
        "link": "https://social.example/p/1",
        "fields": '{"quantity": 100}',
        "quantity": 100,
        "units": 100,
        "charge": CHARGE,
        "refill": True,
        "cancel": True,
        "decision": '{"offers": ["alpha/7"]}',
        "first": Next(**offer),
        **changes,
    }
    return NewPlacement(**fields)


async def funded(ledger: Ledger, amount: str = "100", name: str = "shop") -> Account:
    account = await ledger.create_account(name)
    await ledger.topup(account.id, Decimal(amount), "first payment")
    found = await ledger.account(name)
    assert found is not None
    return found


async def bought(ledger: Ledger, account: Account, remote_id: str = "r1", **changes: Any) -> Placed:
    """An order that its panel took."""
    placed = await ledger.place(placement(account, **changes))
    await ledger.settle(sent(placed), Accepted(remote_id=remote_id))
    return placed


def sent(placed: Placed) -> int:
    """The attempt of an order that was just written."""
    assert placed.attempt is not None
    return placed.attempt


def told(status: OrderStatus | None, *, remains: int | None = None, **more: Any) -> Status:
    return Status(status=status, word="" if status is None else status.value, remains=remains, **more)
