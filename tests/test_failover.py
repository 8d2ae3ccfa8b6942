"""What follows an outcome: one row a reason, and nothing after an outcome that is not certain."""

import asyncio

import pytest

from gateway.errors import NotSold, Refused
from gateway.failover import WORDS, Following, bought_nothing, following, may_go_on, refusal
from providers import errors
from providers.errors import Reason

NEXT_OFFER = {
    *(Reason.KEY, Reason.ACCOUNT, Reason.FUNDS, Reason.QUOTA, Reason.RATE_LIMIT, Reason.MAINTENANCE, Reason.EDGE),
    *(Reason.REQUEST, Reason.SERVICE, Reason.QUANTITY, Reason.DRIPFEED),
    *(Reason.ORDER, Reason.REFILL, Reason.CANCEL, Reason.OTHER),
}


def refused(reason: Reason) -> errors.Refused:
    return errors.Refused("no", reason, panel="alpha", action="add")


def test_every_reason_has_a_row() -> None:
    assert set(WORDS) == set(Reason)


@pytest.mark.parametrize("reason", Reason)
def test_a_refusal_for_the_panels_sake_goes_to_the_next_offer_and_one_for_the_orders_sake_does_not(
    reason: Reason,
) -> None:
    error = refused(reason)
    assert bought_nothing(error)
    assert may_go_on(error) is (reason in NEXT_OFFER)
    assert following(error) is (Following.FAILOVER if reason in NEXT_OFFER else Following.GIVE_UP)


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        (Reason.LINK, "Incorrect link"),
        (Reason.COMMENTS, "Incorrect comments"),
        (Reason.DUPLICATE, "You have active order with this link. Please wait until order being completed."),
    ],
)
def test_a_mistake_of_the_order_is_told_in_the_fields_words(reason: Reason, words: str) -> None:
    told = refusal(refused(reason))
    assert isinstance(told, Refused)
    assert told.words == words


@pytest.mark.parametrize("reason", sorted(NEXT_OFFER))
def test_a_customer_reads_nothing_of_our_affairs_at_a_panel(reason: Reason) -> None:
    told = refusal(refused(reason))
    assert isinstance(told, NotSold)
    assert told.words == NotSold().words


def test_what_was_not_sent_goes_to_the_next_offer() -> None:
    error = errors.Unsent("no route to host", panel="alpha", action="add")
    assert bought_nothing(error)
    assert may_go_on(error)
    assert isinstance(refusal(error), NotSold)


def test_a_panel_that_asks_to_come_later_goes_to_the_next_offer() -> None:
    assert following(errors.Throttled("slow down", panel="alpha", action="add")) is Following.FAILOVER


@pytest.mark.parametrize(
    "error",
    [
        errors.Unanswered("reset", panel="alpha", action="add"),
        errors.ProviderError("of a kind not foreseen", panel="alpha", action="add"),
        ValueError("a mistake of ours"),
        asyncio.CancelledError(),
    ],
)
def test_whatever_proves_nothing_is_unknown_and_followed_by_nothing(error: BaseException) -> None:
    assert following(error) is Following.UNKNOWN
    assert not bought_nothing(error)
    assert not may_go_on(error)
