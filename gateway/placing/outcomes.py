"""What an error of a provider means for the attempt that met it, and how that is told."""

from decimal import Decimal

import msgspec

from gateway.evidence import trace
from gateway.ledger import records
from gateway.ledger.records import Outcome
from gateway.panels import Panel
from gateway.routing import Choice
from gateway.rules.model import Feature
from providers import errors
from providers.base import NewOrder
from providers.errors import ProviderError
from providers.service_types import OrderFields


class Sending(msgspec.Struct, frozen=True):
    """One attempt, as the ledger has it, and where it goes; not after `until`, a moment of the uptime, nor under
    another `epoch`.

    `cost`: what it takes of us there, in our currency; `account`: whose it is, 0 where it is bought by itself.
    """

    order: int
    attempt: int
    choice: Choice
    fields: OrderFields
    cost: Decimal
    until: float
    account: int = 0
    epoch: int = 0

    def told(self) -> dict[str, str | int]:
        """Who, for a log line."""
        choice = self.choice
        return {"order": self.order, "attempt": self.attempt, "panel": choice.panel, "service": choice.remote_service}


def outcome_of(error: ProviderError) -> Outcome:
    """The outcome an error proves; whatever proves nothing is unknown."""
    seen = evidence({"what": error.what, **error.evidence})
    match error:
        case errors.Unsent():
            return records.NotSent(evidence=seen)
        case errors.Refused():
            return records.Refused(reason=error.reason.value, evidence=seen)
        case _:
            return records.Unknown(evidence=seen)


def word(outcome: Outcome) -> str:
    """The outcome as logs and metrics name it: accepted, refused, not_sent, not_placed, unknown, untracked."""
    name = type(outcome).__name__
    return {"NotSent": "not_sent", "NotPlaced": "not_placed"}.get(name, name.lower())


def evidence(seen: dict[str, str | int]) -> str:
    return msgspec.json.encode(seen).decode()


def new_order(panel: Panel, sending: Sending) -> NewOrder:
    """The order as its panel gets it, under a name of ours where the panel keeps names."""
    named = Feature.REQUEST_ID in panel.rules.features
    request_id = trace.request_id(sending.attempt) if named else None
    return NewOrder(sending.choice.remote_service, sending.fields, request_id=request_id)
