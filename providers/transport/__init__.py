"""One panel's HTTP: what goes out, what comes back, and what that proves."""

from providers.transport.limits import Limits
from providers.transport.reply import Reply, Verdict, reason, verdict
from providers.transport.transport import Transport

__all__ = ["Limits", "Reply", "Transport", "Verdict", "reason", "verdict"]
