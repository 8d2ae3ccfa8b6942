"""What is counted for Prometheus: attempts by panel and outcome, and those whose outcome is not known."""

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest


class Metrics:
    """One registry a program, so that two programs in one process do not mix."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.attempts = Counter("panelmux_attempts", "Attempts to buy", ["panel", "outcome"], registry=self._registry)
        self.verdicts = Counter(
            "panelmux_verdicts", "Unknown outcomes that evidence settled", ["panel", "verdict"], registry=self._registry
        )
        self.turned_away = Counter("panelmux_turned_away", "Orders that no offer could take", registry=self._registry)
        self.unknown_attempts = Gauge(
            "panelmux_unknown_attempts", "Attempts whose outcome is not known", registry=self._registry
        )

    def text(self) -> bytes:
        return generate_latest(self._registry)
