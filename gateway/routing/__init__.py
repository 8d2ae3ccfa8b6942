"""Which route an order takes, and why: pure, facts come in and a decision goes out.

offers     what is known and wanted, and what was decided
fitting    what an order would take at an offer, or why it cannot be bought there
policies   what comes first
delivered  what a route has really done with our orders
decision   all of it together
"""

from gateway.routing.decision import decide
from gateway.routing.delivered import Delivered
from gateway.routing.offers import Choice, Decision, LeftOut, Offer, Wanted
from gateway.routing.policies import Canary, Policy, Step, policy_text

__all__ = [
    "Canary",
    "Choice",
    "Decision",
    "Delivered",
    "LeftOut",
    "Offer",
    "Policy",
    "Step",
    "Wanted",
    "decide",
    "policy_text",
]
