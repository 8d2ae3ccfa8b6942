"""What follows an attempt that a panel did not take: the next offer, an answer to the customer, or only waiting.

    Unsent        nothing left us                 the next offer
    Refused       the panel did nothing           the next offer; an answer, where the order itself is at fault
    Unanswered    the panel may have acted        waiting: a second `add` may be a second order

Anything else that is raised proves nothing either, and is treated as unanswered.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from gateway.errors import GatewayError, NotSold, Refused
from providers import errors
from providers.errors import Reason


class Following(StrEnum):
    """What comes after an attempt that was not accepted."""

    FAILOVER = "failover"
    GIVE_UP = "give up"
    UNKNOWN = "unknown"


WORDS: Final[Mapping[Reason, str | None]] = {
    # Of our account there, or of the panel: another panel may well take the order.
    Reason.KEY: None,
    Reason.ACCOUNT: None,
    Reason.FUNDS: None,
    Reason.QUOTA: None,
    Reason.RATE_LIMIT: None,
    Reason.MAINTENANCE: None,
    Reason.EDGE: None,
    Reason.REQUEST: None,
    Reason.SERVICE: None,
    Reason.QUANTITY: None,  # limits differ from panel to panel
    Reason.DRIPFEED: None,
    # Of the order: the next panel would say the same, and a duplicate could even be bought twice.
    Reason.LINK: "Incorrect link",
    Reason.COMMENTS: "Incorrect comments",
    Reason.DUPLICATE: "You have active order with this link. Please wait until order being completed.",
    # No answer to an `add`, but still a refusal, which proves that nothing was bought.
    Reason.ORDER: None,
    Reason.REFILL: None,
    Reason.CANCEL: None,
    Reason.OTHER: None,
}
"""For each reason of a refusal: what the customer is told; None = the next offer is asked instead."""


def following(error: BaseException) -> Following:
    match error:
        case errors.Unsent():
            return Following.FAILOVER
        case errors.Refused():
            return Following.FAILOVER if WORDS[error.reason] is None else Following.GIVE_UP
        case _:
            return Following.UNKNOWN


def bought_nothing(error: BaseException) -> bool:
    """Whether it is certain that the panel took no order."""
    return following(error) is not Following.UNKNOWN


def may_go_on(error: BaseException) -> bool:
    """Whether the next offer may be asked."""
    return following(error) is Following.FAILOVER


def refusal(error: BaseException) -> GatewayError:
    """What the customer is told when this was the last attempt and nothing was bought."""
    words = WORDS[error.reason] if isinstance(error, errors.Refused) else None
    return NotSold() if words is None else Refused(words)
