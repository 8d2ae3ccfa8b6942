"""What can go wrong between us and a panel.

    ProviderError
      Unsent        nothing left us
        Full        held back by us: by our limits for that panel, or at a last check
      Refused       the panel said "no", and did nothing
        Throttled   it said "later", and did nothing
      Unanswered    it left and no usable answer came: the panel may have acted

One question decides what happens next, and the tree answers it: did the panel act? The reason says why, for people
and for the choice of what comes after a refusal. No message ever holds a key.
"""

from enum import StrEnum


class Reason(StrEnum):
    """Why a panel said no: a closed set, whatever words the panel used."""

    KEY = "key"  # our key is wrong there
    ACCOUNT = "account"  # our account there is blocked
    REQUEST = "request"  # it did not understand us
    SERVICE = "service"  # it does not sell this, or not now
    LINK = "link"
    QUANTITY = "quantity"
    COMMENTS = "comments"
    DRIPFEED = "dripfeed"
    DUPLICATE = "duplicate"  # an active order on the same link
    FUNDS = "funds"  # our balance there is too low
    QUOTA = "quota"  # too many orders of ours there
    ORDER = "order"  # no such order there
    REFILL = "refill"  # no refill for this order
    CANCEL = "cancel"  # no cancel for this order
    RATE_LIMIT = "rate_limit"
    MAINTENANCE = "maintenance"
    EDGE = "edge"  # stopped before the panel's own program: challenge page, web server
    OTHER = "other"  # words that no table knows


class ProviderError(Exception):
    """Something went wrong between us and a panel.

    Attributes:
        panel: the panel's name in the rules.
        action: one of the seven.
        evidence: what was seen, for the attempt's record: short, without a key.
    """

    def __init__(self, what: str, *, panel: str, action: str, evidence: dict[str, str | int] | None = None) -> None:
        super().__init__(f"{panel}: {action}: {what}")
        self.what = what
        self.panel = panel
        self.action = action
        self.evidence: dict[str, str | int] = evidence or {}


class Unsent(ProviderError):
    """Nothing left us. The same call may be made again, here or elsewhere."""


class Full(Unsent):
    """Held back by us: by our limits for that panel, or at a last check. It says nothing of the panel."""


class Refused(ProviderError):
    """The panel said no and did nothing. `text` is what it said, never shown to customers."""

    def __init__(
        self,
        text: str,
        reason: Reason,
        *,
        panel: str,
        action: str,
        evidence: dict[str, str | int] | None = None,
    ) -> None:
        super().__init__(text, panel=panel, action=action, evidence=evidence)
        self.text = text
        self.reason = reason


class Throttled(Refused):
    """The panel asked us to come later, and did nothing. `retry_after_s` is its own word on when, if it gave one."""

    def __init__(
        self,
        text: str,
        *,
        panel: str,
        action: str,
        retry_after_s: float | None = None,
        evidence: dict[str, str | int] | None = None,
    ) -> None:
        super().__init__(text, Reason.RATE_LIMIT, panel=panel, action=action, evidence=evidence)
        self.retry_after_s = retry_after_s


class Unanswered(ProviderError):
    """The panel may have acted. Never send a write again; ask later what became of it."""
