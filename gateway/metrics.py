"""What is counted for Prometheus: attempts by panel and outcome, those whose outcome is not known, how panels do."""

from decimal import Decimal
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest

from gateway import together

# How the gauges of several workers become one. Of those that live: what each has of its own is summed, of what each
# sees for itself the worst is told, and what all read from one ledger is as the last of them read it. No other gauge.
_summed = partial(Gauge, multiprocess_mode="livesum")
_highest = partial(Gauge, multiprocess_mode="livemax")
_lowest = partial(Gauge, multiprocess_mode="livemin")
_latest = partial(Gauge, multiprocess_mode="livemostrecent")
_kept = partial(Gauge, multiprocess_mode="sum")  # of those that ended, too


class Metrics:
    """One registry a program, so that two programs in one process do not mix.

    With a folder, that of `together.join`, what is told is of all workers that count there.
    """

    def __init__(self, folder: str | None = None) -> None:
        self._registry = CollectorRegistry()
        self._told = self._registry if folder is None else together.told(folder)
        self.is_of_several = folder is not None
        self._held: dict[str, int] = {}  # calls against limits, as told last
        self.attempts = Counter("panelmux_attempts", "Attempts to buy", ["panel", "outcome"], registry=self._registry)
        self.verdicts = Counter(
            "panelmux_verdicts", "Unknown outcomes that evidence settled", ["panel", "verdict"], registry=self._registry
        )
        self.turned_away = Counter("panelmux_turned_away", "Orders that no offer could take", registry=self._registry)
        self.rules_taken = _lowest(
            "panelmux_rules_taken", "1 = the rules file as it is now is in force", registry=self._registry
        )
        self.rules_taken.set(1)
        self.waiting = _latest("panelmux_waiting_orders", "Orders that nobody can take yet", registry=self._registry)
        self.refused = Counter(
            "panelmux_edge_refused", "Calls and connections refused before any work", ["why"], registry=self._registry
        )
        self.cut = Counter(
            "panelmux_edge_cut", "Connections cut to make room, by what they did", ["why"], registry=self._registry
        )
        self.wrong_keys = Counter("panelmux_edge_wrong_keys", "Keys that are nobody's", registry=self._registry)
        self.cut_off = Counter("panelmux_edge_cut_off", "Cuts for too many wrong keys", registry=self._registry)
        self.remembered = Counter(
            "panelmux_edge_remembered", "Answered as last known", ["action"], registry=self._registry
        )
        self.connections = _summed("panelmux_edge_connections", "Open connections", registry=self._registry)
        self.queued = _summed("panelmux_edge_waiting", "Calls that wait for their turn", registry=self._registry)
        self.behind = _highest(
            "panelmux_edge_behind_seconds", "How late the event loop and the ledger are", registry=self._registry
        )
        self.tasks = _summed("panelmux_tasks", "What is under way in this process", registry=self._registry)
        self.busy = Counter(
            "panelmux_ledger_busy", "Beats and orders that the ledger did not take", registry=self._registry
        )
        self.writable = _lowest(
            "panelmux_ledger_writable", "1 = the ledger can be written, as /readyz finds", registry=self._registry
        )
        self.writable.set(1)
        self._unknown = _latest(
            "panelmux_unknown_attempts", "Attempts whose outcome is not known", registry=self._registry
        )
        self._oldest = _latest("panelmux_unknown_oldest_seconds", "Age of the oldest of them", registry=self._registry)
        self.refusals = Counter("panelmux_refusals", "Orders refused", ["panel", "reason"], registry=self._registry)
        self._at_risk = _latest(
            "panelmux_unknown_cost", "What they may have taken, in the rules' currency", registry=self._registry
        )
        self._of_panels()
        self._among_nodes()

    def _among_nodes(self) -> None:
        """What one of several nodes tells."""
        self.leads = _summed("panelmux_leads", "1 = this node does what one does for all", registry=self._registry)
        self.nodes = _latest("panelmux_nodes", "Nodes that sell, as this one sees it", registry=self._registry)
        self.nodes_other_rules = _highest(
            "panelmux_nodes_other_rules", "Nodes that go by other rules than this one", registry=self._registry
        )
        self._shared = _lowest(
            "panelmux_shared_up", "1 = what nodes share is there; 0 = lost, or none set", registry=self._registry
        )
        self._shared_set = _highest("panelmux_shared_set", "1 = PANELMUX_REDIS is set", registry=self._registry)
        self._turns = _kept(
            "panelmux_turns",
            "Calls held against a rate limit: of all nodes, or of this one",
            ["of"],
            registry=self._registry,
        )

    def _of_panels(self) -> None:
        self._funds = _latest(
            "panelmux_panel_funds", "Our money there, in the rules' currency", ["panel"], registry=self._registry
        )
        self._health = _lowest("panelmux_panel_health", "From 0 to 1", ["panel"], registry=self._registry)
        self._latency = _highest(
            "panelmux_panel_latency_seconds", "How long it takes to answer an add", ["panel"], registry=self._registry
        )
        self._open = _lowest(
            "panelmux_panel_circuit_open", "1 = no orders go there", ["panel"], registry=self._registry
        )
        self._stopped = _highest(
            "panelmux_panel_stopped", "1 = until people say so", ["panel"], registry=self._registry
        )

    def panel(
        self,
        name: str,
        *,
        funds: Decimal | None,
        score: float,
        latency_s: float | None,
        is_open: bool,
        is_stopped: bool,
    ) -> None:
        """Take note of how a panel does; funds in the rules' currency."""
        if funds is not None:
            self._funds.labels(name).set(float(funds))
        self._health.labels(name).set(score)
        if latency_s is not None:
            self._latency.labels(name).set(latency_s)
        self._open.labels(name).set(is_open)
        self._stopped.labels(name).set(is_stopped)

    def shared(self, *, is_set: bool, is_there: bool, all_nodes: int, this_node: int) -> None:
        """Take note of whether Redis is set, and there, and of how many calls were held against which limit."""
        self._shared_set.set(is_set)
        self._shared.set(is_there)
        for of, calls in (("all_nodes", all_nodes), ("this_node", this_node)):
            self._turns.labels(of).inc(calls - self._held.get(of, 0))  # set, it would lose those of who ended
            self._held[of] = calls

    def unknown(self, attempts: int, *, oldest_s: float, cost: Decimal) -> None:
        """Take note of the attempts whose outcome is not known."""
        self._unknown.set(attempts)
        self._oldest.set(oldest_s)
        self._at_risk.set(float(cost))  # to be looked at, not reckoned with

    def text(self) -> bytes:
        return generate_latest(self._told)
