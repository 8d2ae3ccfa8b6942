"""One panel's HTTP: what goes out, what comes back, and what that proves."""

from providers.transport.reply import Reply, Verdict, reason, verdict
from providers.transport.transport import Limits, Transport

__all__ = ["Limits", "Reply", "Transport", "Verdict", "reason", "verdict"]
