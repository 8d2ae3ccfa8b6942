"""Works in one transaction: no common one asks for anything after it wrote, which would have each done by itself."""

from collections.abc import AsyncIterator, Mapping
from decimal import Decimal
from typing import Any, Final

import pytest

from gateway.ledger.postgres import groups
from gateway.ledger.postgres.connection import connect
from gateway.ledger.protocol import Ledger
from gateway.ledger.records import Accepted, Fail, NewPlacement, Next, NotSent, Outcome, Placed, Refused, Unknown, Wait
from gateway.ledger.repeated import Twin
from gateway.ledger.sql import orders
from tests.test_ledger.samples import Clock, funded, placement, sent

pytestmark = pytest.mark.anyio

NEXT: Final = Next(panel="beta", remote_service="9", cost=Decimal("0.45"))
DRY: Final = Wait(until_ms=2**41, why="dry")
FAIL: Final = Fail(why="nobody takes it")
REFUSED: Final = Refused(reason="other")

PLACED: Final[Mapping[str, Mapping[str, Any]]] = {
    "plain": {},
    "request": {"request": b"r"},
    "twin": {"twin": Twin(unheard_ms=120_000)},
    "only twin": {"twin": Twin(unheard_ms=120_000, any_ms=60_000, refuses=True)},
    "request and twin": {"request": b"s", "twin": Twin(unheard_ms=120_000)},
    "one active": {"one_active": True},
    "part": {"first": Next(panel="alpha", remote_service="7", cost=Decimal("0.2"), part=50)},
    "waiting": {"first": DRY},
    "waiting request": {"first": DRY, "request": b"t"},
}
SETTLED: Final[Mapping[str, tuple[Outcome, Next | Fail | Wait | None]]] = {
    "accepted": (Accepted(remote_id="23501", charge=Decimal("0.37")), None),
    "accepted, text": (Accepted(remote_id="ord_01H8"), None),
    "unknown": (Unknown(), None),
    "refused, fail": (REFUSED, FAIL),
    "refused, next": (REFUSED, NEXT),
    "refused, wait": (REFUSED, DRY),
    "not sent, fail": (NotSent(), FAIL),
    "not sent, next": (NotSent(), NEXT),
    "not sent, wait": (NotSent(), DRY),
}


@pytest.fixture
async def connection(url: str, kept: Ledger) -> AsyncIterator[Any]:
    opened = await connect(url)
    yield opened
    await opened.close()


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> list[groups.OneByOne]:
    """Each time that somebody said that a work has to be done by itself."""
    said: list[groups.OneByOne] = []

    class Told(groups.OneByOne):
        def __init__(self, *words: object) -> None:
            super().__init__(*words)
            said.append(self)

    monkeypatch.setattr(groups, "OneByOne", Told)
    return said


def shaped(account: Any, name: str, changes: Mapping[str, Any]) -> NewPlacement:
    """An order like no other."""
    own = {name: value + account.name.encode() for name, value in changes.items() if name == "request"}
    return placement(account, **{"link": name, "fingerprint": f"{name} {account.name}".encode(), **changes, **own})


async def test_every_common_work_is_done_together_with_others(
    kept: Ledger, connection: Any, alone: list[groups.OneByOne]
) -> None:
    clock = Clock()
    epoch = await kept.join("here")
    accounts = [await funded(kept, name=outcome) for outcome in SETTLED]
    placing = [(account, name) for account in accounts for name in PLACED]
    works = [
        orders.place(shaped(account, name, {**PLACED[name], "service": number}), epoch, clock())
        for number, (account, name) in enumerate(placing, start=1)
    ]
    outcomes = await groups.write(connection, works)
    assert ([failure for _, failure in outcomes if failure], alone) == ([], [])
    placed: list[Placed] = [answer for answer, _ in outcomes]
    settling = [
        (one, *SETTLED[account.name])
        for one, (account, name) in zip(placed, placing, strict=True)
        if not name.startswith("waiting")
    ]
    settled = await groups.write(
        connection,
        [orders.settle(sent(one), numbered(outcome, one), then, epoch, clock()) for one, outcome, then in settling],
    )
    assert ([failure for _, failure in settled if failure], alone) == ([], [])
    assert [following is not None for following, _ in settled] == [isinstance(then, Next) for _, _, then in settling]
    totals, replay = await kept.totals(), await kept.replayed()
    assert (totals.orders, totals.wrong, replay.wrong) == (len(placed), (), ())


def numbered(outcome: Outcome, placed: Placed) -> Outcome:
    """No two orders have one id at a panel."""
    if not isinstance(outcome, Accepted):
        return outcome
    return Accepted(remote_id=f"{outcome.remote_id}{placed.order}", charge=outcome.charge)
