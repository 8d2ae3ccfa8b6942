"""The life of one order as one pure function: what it is after a word, given what it was before it.

Nothing else changes an order.

    order      waiting ─▶ an attempt ─▶ delivered, as a whole or in part; or given up
    attempt    sending ─▶ accepted ─▶ passed on: another attempt makes the rest, or the next part
               sending ─▶ refused, not sent: nothing was bought
               sending ─▶ unknown ─▶ accepted, not placed, untracked (bought, its id at the panel not known)
               untracked ─▶ accepted
    money      held ─▶ sold at the first attempt that bought ─▶ given back, by what was not delivered, never more
               held ─▶ free again when nobody bought

An order has at most one attempt that is live: one that may have bought, or bought and was not passed on. One that has
none, and has not ended, waits. The ledger keeps each word beside what it changed, so that an order can be told anew
from its history and compared.
"""

from gateway.ledger.life.after import after, begun, rest_of, state_of
from gateway.ledger.life.order import BOUGHT, OPEN, Life, Try
from gateway.ledger.life.words import (
    Begun,
    GivenBack,
    GivenUp,
    Observed,
    PassedOn,
    Recovered,
    Sent,
    Settled,
    Word,
)

__all__ = [
    "BOUGHT",
    "OPEN",
    "Begun",
    "GivenBack",
    "GivenUp",
    "Life",
    "Observed",
    "PassedOn",
    "Recovered",
    "Sent",
    "Settled",
    "Try",
    "Word",
    "after",
    "begun",
    "rest_of",
    "state_of",
]
