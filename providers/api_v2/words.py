"""What panels write when they say no, and what each of it means: a table, never a guess.

A text counts when it stands here as a whole (case, white space and a last dot apart), begins with a listed beginning,
fits a listed pattern, or goes on after a listed text with a number or a punctuation mark and names no order.
`_BEFORE_ORDERS` are written before an order can come into being, so they prove that `add`
did nothing. The others prove nothing about an `add`: some panels write "Failed to create order" after they bought.
"""

import re
from collections.abc import Mapping
from typing import Final

import msgspec

from providers.errors import Reason
from providers.service_types import TYPES


class Word(msgspec.Struct, frozen=True):
    """What a known text means. `settles_add`: the panel that writes it has placed no order."""

    reason: Reason
    settles_add: bool


_BEFORE_ORDERS: Final[Mapping[Reason, tuple[str, ...]]] = {
    Reason.KEY: (
        "Invalid API key",
        "Incorrect API key",
        "API key invalid",
        "Missing key",
        "API key is required",
        "API key is missing",
        "Missing API key",
        "Incorrect request or API key",
        "Missing required parameter: key",
        "auth error",
        "unauthorized access! Wrong api key",
    ),
    Reason.ACCOUNT: (
        "API is Disable for this user or User Not Found! Contact the Support",
        "API is disabled",
        "API access disabled",
        "Account suspended",
        "Your account has been suspended",
        "User account is inactive",
        "user_inactive",
        "Доступ к api запрещен",
        "neworder.error.account_banned",
        "The account does not exists",
    ),
    Reason.REQUEST: (
        "Incorrect request",
        "Incorrect action",
        "Incorrect request or action",
        "Invalid action",
        "This action is Invalid",
        "Unknown action specified!",
        "There are missing required parameters. Please check your API Manual",
        "Incorrect parameters",
        "Missing required parameters: service, link",
        "Missing required parameters: quantity or comments",
        "Invalid request format. Use application/x-www-form-urlencoded",
        "Payload too large (max 500KB)",
        "Unable to verify your domain submission",
        "Invalid parameters",
        "incorrect service type",
    ),
    Reason.SERVICE: (
        "Incorrect service ID",
        "error.incorrect_service_id",
        "neworder.error.incorrect_service_id",
        "neworder.error.service",
        "neworder.error.service_inactive",
        "neworder.error.service_not_found",
        "incorrect service",
        "service unknown",
        "Service ID does not exists",
        "Service does not exists",
        "Invalid service",
        "Invalid service ID",
        "Service not found",
        "Service not found or is disabled",
        "This service is not available right now",
        "This service is not available via API",
        "Service is not available",
        "Ordering is disabled",
    ),
    Reason.LINK: (
        "Bad link",
        "Incorrect link",
        "Invalid link",
        "neworder.error.link",
        "neworder.error.invalid_link",
        "neworder.error.link_not_found",
        "Link is required",
        "Invalid URL format",
        "link incorrect",
        "is not link to the post",
        "link is not to the post",
        "is not full link",
        "account is private",
        "Ссылка неправильная, проверьте ссылку",
        "Пост не найден, возможно он скрыт настройками приватности",
        "invalid character",
        "Группа или страница находится в черном списке",
    ),
    Reason.QUANTITY: (
        "neworder.error.min_quantity",
        "neworder.error.max_quantity",
        "neworder.error.increment",
        "Quantity less than minimum",
        "Quantity is less than minimum",
        "Quantity is more than maximum",
        "Quantity out of bounds",
        "Incorrect quantity",
        "Quantity is required",
        "Please follow the limit",
        "limit min",
    ),
    Reason.FUNDS: (
        "Not enough funds on balance",
        "Not enough funds",
        "neworder.error.not_enough_funds",
        "neworder.error.insufficient_balance",
        "Insufficient balance",
        "Insufficient funds",
        "Not enough balance",
        "no money",
        "Недостаточно средств на балансе",
        "Saldo tidak mencukupi",
        "You do not have enough funds to Place order",
    ),
    Reason.DUPLICATE: (
        "You have active order with this link. Please wait until order being completed",
        "neworder.error.link_duplicate",
        "Active order with this link exists",
        "is already running",
        "error.duplicate_order",
        "Duplicate order",
        "An identical order was just placed",
    ),
    Reason.QUOTA: ("Лимит заданий превышен",),
    Reason.COMMENTS: (
        "neworder.error.comment",
        "Comments field is required",
        "Incorrect comments",
        "Invalid comments",
        "You have added more comments than required quantity",
        "You have added less comments than required quantity",
    ),
    Reason.DRIPFEED: (
        "This services does not support Dripfeed feature!",
        "Interval time is required",
        "Runs is required",
        "Invalid Interval in minutes",
        "Incorrect runs",
        "Incorrect interval",
        "Dripfeed is not supported by this service",
        "neworder.error.schedule_time",
        "Incorrect start_at",
        "start_at is in the past",
        "Scheduling is disabled",
    ),
    Reason.RATE_LIMIT: (
        "Rate limit exceeded",
        "Too many failed attempts. Please retry later",
    ),
    Reason.MAINTENANCE: (
        "MAINTENANCE_MODE",
        "Service is under maintenance, please try again later",
        "Service is temporarily stopped",
        "This panel is temporarily unavailable",
        "Ведутся технические работы",
        "Ведутся тех работы",
        "Заказы временно недоступны. Ведутся технические работы",
        "API временно недоступен. Ведутся технические работы",
        "Hệ thống đang bảo trì!",
        "Maintenance",
    ),
}

_BEGINNINGS: Final[Mapping[Reason, tuple[str, ...]]] = {
    Reason.QUANTITY: (
        "Quantity less than minimal",
        "Quantity more than maximum",
        "Quantity less than maximum",  # it means "more": a slip of the field
        "Quantity must to be greater than or equal to minimum amount",
        "Quantity must to be less than or equal to maximum amount",
        "Quantity must be a multiple of",
        "The quantity field is required",
    ),
}

_PATTERNS: Final[Mapping[Reason, tuple[str, ...]]] = {
    Reason.QUANTITY: (r"quantity must be between \S+ and \S+",),
    Reason.REQUEST: (r"incorrect request: unknown action '[^']*'", r"invalid action: \w+"),
    Reason.RATE_LIMIT: (
        r"too many requests\. limit \d+/\w+",
        r"too many failed authentication attempts\. blocked for \d+ seconds",
    ),
}

_ABOUT_OTHER_ACTIONS: Final[Mapping[Reason, tuple[str, ...]]] = {
    Reason.ORDER: (
        "Incorrect order ID",
        "Incorrect order IDs",
        "error.incorrect_order_id",
        "Order not found",
        "Wrong order",
        "Order ID is required parameter. Please check your API Manual",
        "Missing order parameter",
        "Orders parameter is required",
        "Order is required",
        "Incorrect orderID",
    ),
    Reason.REFILL: (
        "Refill is disabled for this service",
        "Refill is not available for this order",
        "The order is not completed",
        "The order was completed or refill was requested less than 24 hours ago",
        "Refill not found",
        "Incorrect refill ID",
        "error.incorrect_refill_id",
        "Refill Request Not found",
        "Order not eligible for refill",
        "This order cannot be refilled",
        "Refill unavailable",
        "Refill is only available manually via support ticket for reseller platforms",
        "Missing refill parameter",
    ),
    Reason.CANCEL: (
        "Order cannot be canceled",
        "Order is already completed",
        "Order already completed",
        "Already completed",
        "Already refunded",
        "Failed to cancel",
        "Cancellation via API is not supported. Contact support",
        "Order parameter is required",
    ),
    Reason.OTHER: (  # the order may stand: some are written after it was bought
        "Service is running slow, orders may be delayed",
        "Internal server error",
        "Server error",
        "Failed to create order",
        "Order could not be created",
        "Could not charge your balance, please try again",
        "There was an error processing your request. Please try again later",
        "Đơn hàng không được tạo thành công vui lòng liên hệ Admin",
        "processing another transaction",
        "Wallet debit failed",
        "unknown",
        "Ошибка при добавлении задания, попробуйте еще раз",
        "Сервер VK в данный момент недоступен",
        "Request timeout",
        "API down",
    ),
}


def _folded(text: str) -> str:
    return " ".join(text.split()).casefold().removesuffix(".")


_FIELDS: Final = {
    _folded(f"Incorrect {written}"): Word(Reason.COMMENTS, True)
    for kind in TYPES.values()
    for field in kind.__struct_fields__
    for written in (field, field.replace("_", " "))
}
"""One field of a type, named as in the form."""

_EXACT: Final[Mapping[str, Word]] = {
    **_FIELDS,
    **{_folded(text): Word(why, False) for why, texts in _ABOUT_OTHER_ACTIONS.items() for text in texts},
    **{_folded(text): Word(why, True) for why, texts in _BEFORE_ORDERS.items() for text in texts},
}
_STARTS: Final = tuple((_folded(text), Word(why, True)) for why, texts in _BEGINNINGS.items() for text in texts)
_FORMS: Final = (
    *((re.compile(form), Word(why, True)) for why, forms in _PATTERNS.items() for form in forms),
    (re.compile(r"error\.refill_\w+"), Word(Reason.REFILL, False)),
)

_LONGEST: Final = max(map(len, _EXACT))
_GOES_ON: Final = re.compile(r"[.:,(]| \W{0,3}(?:[a-z]{1,3} ?)?[0-9]| [-(]")
"""After a known text: more words would turn its sense, as in "no money left to refund"."""

_OF_AN_ORDER: Final = re.compile(
    r"order[ _-]{0,3}(?:id|number|no|uuid)?[ :=.,#(-]{0,9}[a-z_-]{0,20}[0-9]"
    r"|orders?\b.{0,60}\b(?:accepted|created|delayed|pending|placed|queued|received)\b"
)


def known(text: str) -> Word | None:
    """What `text` means, or None for a text that no table knows.

    >>> known("incorrect service id.")
    Word(reason=<Reason.SERVICE: 'service'>, settles_add=True)
    >>> known("Failed to create order"), known("Order failed")
    (Word(reason=<Reason.OTHER: 'other'>, settles_add=False), None)
    >>> known("Not enough funds. Need $1.20"), known("Not enough funds. Order ID: 5")
    (Word(reason=<Reason.FUNDS: 'funds'>, settles_add=True), None)
    """
    folded = _folded(text)
    if (word := _EXACT.get(folded)) is not None:
        return word
    for start, word in _STARTS:
        if folded.startswith(start):
            return word
    fitting = next((word for form, word in _FORMS if form.fullmatch(folded)), None)
    return fitting or _beginning(folded)


def _beginning(folded: str) -> Word | None:
    """What the longest known text means that `folded` begins with, if the rest cannot turn its sense."""
    for end in range(min(len(folded) - 1, _LONGEST), 0, -1):
        if folded[end] in ".:,( " and (word := _EXACT.get(folded[:end])) is not None:
            return word if _GOES_ON.match(folded, end) and not _OF_AN_ORDER.search(folded) else None
    return None
