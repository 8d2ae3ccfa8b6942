"""The rules file as values. What each key means stands in README.md; defaults stand here, once."""

from decimal import Decimal
from enum import StrEnum
from fnmatch import fnmatchcase

import msgspec

from gateway.conditions import Condition, joined
from gateway.routing import Policy, Step


class RateFrom(StrEnum):
    """Which of a service's routes its rate is worked out from, where the rules give no fixed rate."""

    DEAREST = "dearest"  # every route can be bought at the rate shown: failover always stays open
    CHEAPEST = "cheapest"  # dearer routes are left out while they would lose money


class Ids(StrEnum):
    """Which ids published services have with us."""

    SAME = "same"  # the panel's own, where they are numbers and free
    NEW = "new"  # given once from `first` upward, kept in the ledger


class Tells(StrEnum):
    """Whether what a panel shows of itself counts as evidence of what became of an order."""

    LEARNED = "learned"  # once our own orders there have shown that it can
    TRUSTED = "trusted"  # from the first order on
    NEVER = "never"  # it is not asked for it


class Feature(StrEnum):
    """What a panel can do beyond the seven actions."""

    ORDERS = "orders"  # lists our orders: `action=orders`
    REQUEST_ID = "request_id"  # keeps a name of ours beside an order


class Panel(msgspec.Struct, frozen=True, kw_only=True):
    """An account of ours at an upstream site.

    Attributes:
        key: the key itself, as resolved from its reference; never written in the file, never shown.
        rate_limit: calls and span, "60/min".
        in_flight: calls under way at once.
        low_balance: below this (panel's currency) people are warned.
        settle_s: an order that was sent arrives there within so long, or never.
        open_unknowns: with more outcomes unknown than this, it takes no further order.
        evidence_ids: whether the ids between ours tell of a lost order; asking about them looks like prying.
        evidence_balance: whether its balance does; not where others spend the same balance.
        features: what it can do beyond the seven actions.
        hold_moves: a service whose rate moves by more than this share at once waits until people have looked.
        private: whether its address may be a private one or plain http (tests, demo, own network).
    """

    url: str
    key: str
    dialect: str = "api_v2"
    currency: str = "USD"
    rate_limit: str | None = None
    in_flight: int = 16
    low_balance: Decimal | None = None
    settle_s: int = 300
    open_unknowns: int = 3
    evidence_ids: Tells = Tells.LEARNED
    evidence_balance: Tells = Tells.LEARNED
    features: tuple[Feature, ...] = ()
    hold_moves: Decimal = Decimal(1)
    private: bool = False

    def __repr__(self) -> str:
        return f"Panel(url={self.url!r}, currency={self.currency!r})"


class Route(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    panel: str
    service: str  # the panel's id
    weight: int = 1
    when: Condition | None = None


class Scope(msgspec.Struct, frozen=True, kw_only=True):
    """What may be said of everything, and otherwise of a category, a service, an account. None = as the wider one.

    Attributes:
        margin: share put on the cost to make the rate, 0.15 = 15 %.
        min_margin: share of the cost that must be left over when buying.
        max_rate: the dearest rate that is paid to a panel, in our currency; None = any.
        only, never: panels that alone may be bought at, or may not. What a wider scope says never to, stays so.
        complete: whether the rest of an order that a panel ended early is bought elsewhere.
        complete_panels: how many panels may take part in one order.
        one_active: whether a link may have one order of a service at a time.
        split: in how many parts, one after the other, an order above a route's max may be bought there.
        wait_s: how long an order waits that only our money at the panels keeps from being bought; or its next part.
        when: conditions on the order; those of wider scopes hold as well.
    """

    policy: tuple[Step, ...] | None = None
    margin: Decimal | None = None
    min_margin: Decimal | None = None
    max_rate: Decimal | None = None
    only: frozenset[str] | None = None
    never: frozenset[str] = frozenset()
    complete: bool | None = None
    complete_panels: int | None = None
    one_active: bool | None = None
    split: int | None = None
    wait_s: int | None = None
    when: Condition | None = None


def narrowed(*scopes: Scope) -> Scope:
    """Several scopes as one, from the widest to the narrowest: what that says counts."""
    known: dict[str, object] = {}
    for scope in scopes:
        for name in Scope.__struct_fields__:
            value = getattr(scope, name)
            if name == "never":
                known[name] = frozenset(value) | known.get(name, frozenset())  # type: ignore[operator]
            elif name == "when":
                known[name] = joined(known.get(name), value)  # type: ignore[arg-type]
            elif value is not None:
                known[name] = value
    return Scope(**known)  # type: ignore[arg-type]


class Category(Scope, frozen=True, kw_only=True):
    """What holds for the services whose category the glob matches, whatever its case."""

    category: str

    def covers(self, category: str) -> bool:
        return fnmatchcase(category.lower(), self.category.lower())


class AccountRules(Scope, frozen=True, kw_only=True):
    """What holds for one account.

    Attributes:
        services: what it may buy; None = everything.
        budget_day, budget_month: what its orders may come to in a day, or month, of UTC; None = no bound.
        rate_limit: calls and span, "600/min".
        addresses: networks that it may call from; empty = all.
    """

    services: Condition | None = None
    budget_day: Decimal | None = None
    budget_month: Decimal | None = None
    rate_limit: str | None = None
    addresses: tuple[str, ...] = ()


class Service(Scope, frozen=True, kw_only=True):
    """One line of our catalogue as the rules have it; what is None comes from its routes."""

    routes: tuple[Route, ...]
    name: str | None = None
    category: str | None = None
    type: str | None = None
    description: str | None = None
    rate: Decimal | None = None
    min: int | None = None
    max: int | None = None
    refill: bool | None = None
    cancel: bool | None = None


class Publish(msgspec.Struct, frozen=True, kw_only=True):
    """A panel's whole list, or what of it the globs let through, as services of ours with one route each."""

    panel: str
    ids: Ids = Ids.SAME
    first: int = 1_000_000
    category: str = "*"
    name: str = "*"
    margin: Decimal | None = None


class Expectation(msgspec.Struct, frozen=True, kw_only=True):
    """A test of the rules: where an order must go, or must not, with all panels well and in funds.

    Attributes:
        minute: of the week, UTC; None = now.
        first: the route that it goes to first, as panel and the panel's service.
        never: panels that may not take it.
        nobody: no route may take it.
    """

    service: int
    quantity: int = 1000
    link: str = "https://link.example/1"
    account: str = ""
    minute: int | None = None
    first: tuple[str, str] | None = None
    never: tuple[str, ...] = ()
    nobody: bool = False


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """The whole file.

    Attributes:
        currency: what customers see and the ledger keeps.
        exchange: one unit of a currency, in `currency`.
        exchange_buffer: share put on what a panel takes in another currency than ours.
        policy, margin, min_margin, max_rate, never, complete, complete_panels, one_active, split, wait_s: the widest
            `Scope`.
        subscription_posts: how many new posts a subscription without a limit is sold as.
        categories, accounts: narrower scopes; of several categories that match, the later one counts.
        expect: what `check` holds the rules against.
        version: hash of the file's content; what references lead to is not in it.
        warnings: what is allowed and hardly meant, each with its place.
    """

    panels: dict[str, Panel]
    currency: str = "USD"
    exchange: dict[str, Decimal] = {}
    exchange_buffer: Decimal = Decimal(0)
    policy: tuple[Step, ...] = (Policy.CHEAPEST,)
    margin: Decimal = Decimal(0)
    min_margin: Decimal = Decimal(0)
    max_rate: Decimal | None = None
    never: frozenset[str] = frozenset()
    rate_from: RateFrom = RateFrom.DEAREST
    subscription_posts: int = 30
    complete: bool = False
    complete_panels: int = 3
    one_active: bool = False
    split: int = 1
    wait_s: int = 21_600
    categories: tuple[Category, ...] = ()
    accounts: dict[str, AccountRules] = {}
    services: dict[int, Service] = {}
    publish: tuple[Publish, ...] = ()
    expect: tuple[Expectation, ...] = ()
    version: str = ""
    warnings: tuple[str, ...] = ()

    def everywhere(self) -> Scope:
        """The widest scope."""
        return Scope(
            policy=self.policy,
            margin=self.margin,
            min_margin=self.min_margin,
            max_rate=self.max_rate,
            never=self.never,
            complete=self.complete,
            complete_panels=self.complete_panels,
            one_active=self.one_active,
            split=self.split,
            wait_s=self.wait_s,
        )

    def scope(self, category: str, *narrower: Scope) -> Scope:
        """What holds for the services of a category, and within the narrower scopes."""
        return narrowed(self.everywhere(), *(one for one in self.categories if one.covers(category)), *narrower)
