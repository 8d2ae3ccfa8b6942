"""What is counted for Prometheus: attempts by outcome, and how long a customer waits for an order id."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest


class Metrics:
    """One registry a program, so that two programs in one process do not mix."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.attempts = Counter(
            "panelmux_attempts", "Attempts to buy, by outcome", ["panel", "outcome"], registry=self._registry
        )
        self.add_s = Histogram(
            "panelmux_add_seconds",
            "From a customer's add to its answer",
            ["answer"],
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
            registry=self._registry,
        )
        self._unknown = Gauge(
            "panelmux_unknown_attempts", "Attempts whose outcome is not known", registry=self._registry
        )

    def unknown(self, count: Callable[[], float]) -> None:
        """Where the number of open unknowns comes from when someone asks."""
        self._unknown.set_function(count)

    def text(self) -> bytes:
        return generate_latest(self._registry)
