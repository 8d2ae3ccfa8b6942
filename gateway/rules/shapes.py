"""The rules file as it is written, one struct a block: what a file is fitted to, and the schema that editors read.

A description here completes two sentences: the editor's hint, and the mistake "… is not {description}".
"""

from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from gateway.routing import Canary, Policy
from gateway.rules.model import Expectation, Feature, Ids, Panel, Publish, RateFrom, Route, Rules, Tells
from providers.pace import GRAMMAR
from providers.service_types import TYPES

BIGGEST_ID: Final = 2**31 - 1  # the largest that buyers' programs keep

Text = Annotated[str, Meta(min_length=1, max_length=1000, description="text of 1 to 1000 characters")]
Amount = Annotated[str, Meta(pattern=r"^[0-9]{1,12}(\.[0-9]{1,12})?$", description='an amount in quotes, like "1.08"')]
Percent = Annotated[str, Meta(pattern=r"^[0-9]{1,4}(\.[0-9]{1,4})? ?%$", description="a percentage, like 15%")]
Calls = Annotated[str, Meta(pattern=GRAMMAR, description="calls and a span, like 60/min")]
Currency = Annotated[str, Meta(pattern=r"^[A-Z]{3,4}$", description="a currency code, like USD")]
Address = Annotated[str, Meta(min_length=1, max_length=500, description="the address of a panel's API")]
KeyReference = Annotated[
    str,
    Meta(
        pattern=r"^\$\{([A-Za-z_][A-Za-z0-9_]*|file:/[^}]+)\}$",
        description="a reference to a key: ${NAME} in the environment, or ${file:/path}",
    ),
]
PanelName = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$", description="a name of letters, digits, dots, dashes, underscores"
    ),
]
ServiceId = Annotated[int, Meta(ge=1, le=BIGGEST_ID, description=f"a whole number from 1 to {BIGGEST_ID}")]
Units = Annotated[int, Meta(ge=1, le=BIGGEST_ID, description=f"a whole number from 1 to {BIGGEST_ID}")]
Weight = Annotated[int, Meta(ge=1, le=1_000_000, description="a whole number from 1 to 1000000")]
InFlight = Annotated[int, Meta(ge=1, le=1000, description="a whole number from 1 to 1000")]
Settle = Annotated[int, Meta(ge=1, le=86_400, description="a number of seconds from 1 to 86400")]
Unknowns = Annotated[int, Meta(ge=0, le=1_000_000, description="a whole number from 0 to 1000000")]
Panels = Annotated[int, Meta(ge=1, le=10, description="a whole number from 1 to 10")]
Parts = Annotated[int, Meta(ge=1, le=100, description="a whole number from 1 to 100")]
Wait = Annotated[int, Meta(ge=0, le=604_800, description="a number of seconds from 0 to 604800")]
Posts = Annotated[int, Meta(ge=1, le=10_000, description="a whole number from 1 to 10000")]
RemoteId = Annotated[str | int, Meta(description="a panel's id of a service")]
ShortRoute = Annotated[str, Meta(pattern=r"^[^/]+/.+$", description="a route, like alpha/101")]
ServiceType = Annotated[str, Meta(description="a service type, like Default", extra_json_schema={"enum": list(TYPES)})]
Quantity = Annotated[str | int, Meta(description='a bound on quantity, like ">= 1000" or "100..5000"')]
Number = Annotated[str | int, Meta(description='a bound, like ">= 1000" or "100..5000"')]
Glob = Annotated[
    str, Meta(min_length=1, max_length=500, description='a glob, like "*instagram.com*", or /an expression/')
]
Times = Annotated[str, Meta(description='a time of day, UTC, like "22:00..06:00"')]
Moment = Annotated[
    str,
    Meta(
        pattern=r"^(mon|tue|wed|thu|fri|sat|sun) ([01][0-9]|2[0-3]):[0-5][0-9]$",
        description='a day and a time, UTC, like "sat 23:00"',
    ),
]
Network = Annotated[str, Meta(min_length=2, max_length=50, description="an address or a network, like 10.0.0.0/8")]
ServicesText = Annotated[str | int, Meta(description="an id, a span of ids, or a glob over categories")]


def _default(model: type[msgspec.Struct], name: str) -> Any:
    """What the model has where the file says nothing: it stands there, once."""
    [field] = [field for field in msgspec.structs.fields(model) if field.name == name]
    return field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()


def _percent(share: Decimal) -> str:
    return f"{share * 100:f}%"


class _Shape(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class Day(StrEnum):
    MON = "mon"
    TUE = "tue"
    WED = "wed"
    THU = "thu"
    FRI = "fri"
    SAT = "sat"
    SUN = "sun"


class WhenShape(_Shape, frozen=True, kw_only=True):
    """What an order must be like. All clauses must hold; of a list, one."""

    quantity: Quantity | tuple[Quantity, ...] | None = None
    charge: Number | tuple[Number, ...] | None = None
    rate: Number | tuple[Number, ...] | None = None
    health: Number | tuple[Number, ...] | None = None
    service: Number | tuple[Number, ...] | None = None
    link: Glob | tuple[Glob, ...] | None = None
    account: Glob | tuple[Glob, ...] | None = None
    type: Glob | tuple[Glob, ...] | None = None
    category: Glob | tuple[Glob, ...] | None = None
    name: Glob | tuple[Glob, ...] | None = None
    panel: Glob | tuple[Glob, ...] | None = None
    time: Times | None = None
    days: tuple[Day, ...] | None = None
    all: "tuple[WhenShape, ...] | None" = None
    any: "tuple[WhenShape, ...] | None" = None
    not_: "WhenShape | None" = msgspec.field(name="not", default=None)


class PanelShape(_Shape, frozen=True, kw_only=True):
    """An account of yours at an upstream site."""

    url: Address
    key: KeyReference
    dialect: Text = _default(Panel, "dialect")
    currency: Currency = _default(Panel, "currency")
    rate_limit: Calls | None = None
    in_flight: InFlight = _default(Panel, "in_flight")
    low_balance: Amount | None = None
    settle_s: Settle = _default(Panel, "settle_s")
    open_unknowns: Unknowns = _default(Panel, "open_unknowns")
    evidence_ids: Tells = _default(Panel, "evidence_ids")
    evidence_balance: Tells = _default(Panel, "evidence_balance")
    features: tuple[Feature, ...] = _default(Panel, "features")
    hold_moves: Percent = _percent(_default(Panel, "hold_moves"))
    private: bool = _default(Panel, "private")

    def __repr__(self) -> str:
        return f"PanelShape(url={self.url!r})"


class RouteShape(_Shape, frozen=True, kw_only=True):
    """Where a service may be bought."""

    panel: Text
    service: RemoteId
    weight: Weight = _default(Route, "weight")
    when: WhenShape | None = None


class CanaryShape(_Shape, frozen=True, kw_only=True):
    """A route on trial: first for a share of the links, last for the others."""

    canary: ShortRoute
    share: Percent
    floor: Percent = _percent(Decimal(str(_default(Canary, "floor"))))


PolicyShape = (
    Policy | Annotated[tuple[Policy | CanaryShape, ...], Meta(min_length=1, description="a policy, or a list of them")]
)


class ScopeShape(_Shape, frozen=True, kw_only=True):
    """What may be said of a category, a service, an account, where it differs from what is said of everything."""

    policy: PolicyShape | None = None
    margin: Percent | None = None
    min_margin: Percent | None = None
    max_rate: Amount | None = None
    only: tuple[Text, ...] | None = None
    never: tuple[Text, ...] = ()
    complete: bool | None = None
    complete_panels: Panels | None = None
    one_active: bool | None = None
    split: Parts | None = None
    wait_s: Wait | None = None
    when: WhenShape | None = None


class BudgetShape(_Shape, frozen=True, kw_only=True):
    """What an account's orders may come to, in a day and in a month of UTC."""

    day: Amount | None = None
    month: Amount | None = None


class AccountShape(ScopeShape, frozen=True, kw_only=True):
    """What holds for one account of yours."""

    services: tuple[ServicesText, ...] | None = None
    budget: BudgetShape | None = None
    rate_limit: Calls | None = None
    addresses: tuple[Network, ...] = ()


class ServiceShape(ScopeShape, frozen=True, kw_only=True):
    """One line of your catalogue; what is left out comes from its routes."""

    routes: Annotated[tuple[ShortRoute | RouteShape, ...], Meta(min_length=1, description="a list of routes")]
    name: Text | None = None
    category: Text | None = None
    type: ServiceType | None = None
    description: Annotated[str, Meta(max_length=10_000, description="text of up to 10000 characters")] | None = None
    rate: Amount | None = None
    min: Units | None = None
    max: Units | None = None
    refill: bool | None = None
    cancel: bool | None = None


class PublishShape(_Shape, frozen=True, kw_only=True):
    """A panel's whole list, or what of it the globs let through, as services of yours."""

    panel: Text
    ids: Ids = _default(Publish, "ids")
    first: ServiceId = _default(Publish, "first")
    category: Text = _default(Publish, "category")
    name: Text = _default(Publish, "name")
    margin: Percent | None = None


class ExpectShape(_Shape, frozen=True, kw_only=True):
    """A test of these rules, which check runs: where an order must go, or must not."""

    service: ServiceId
    quantity: Units = _default(Expectation, "quantity")
    link: Text = _default(Expectation, "link")
    account: Text | None = None
    at: Moment | None = None
    first: ShortRoute | None = None
    never: tuple[Text, ...] = ()
    nobody: bool = False


class RulesShape(_Shape, frozen=True, kw_only=True):
    """What is sold, and where it is bought."""

    panels: dict[PanelName, PanelShape]
    currency: Currency = _default(Rules, "currency")
    exchange: dict[Currency, Amount] = _default(Rules, "exchange")
    exchange_buffer: Percent = _percent(_default(Rules, "exchange_buffer"))
    policy: PolicyShape = Policy.CHEAPEST
    margin: Percent = _percent(_default(Rules, "margin"))
    min_margin: Percent = _percent(_default(Rules, "min_margin"))
    max_rate: Amount | None = None
    never: tuple[Text, ...] = ()
    rate_from: RateFrom = _default(Rules, "rate_from")
    subscription_posts: Posts = _default(Rules, "subscription_posts")
    complete: bool = _default(Rules, "complete")
    complete_panels: Panels = _default(Rules, "complete_panels")
    one_active: bool = _default(Rules, "one_active")
    split: Parts = _default(Rules, "split")
    wait_s: Wait = _default(Rules, "wait_s")
    categories: dict[Text, ScopeShape] = {}
    accounts: dict[Text, AccountShape] = {}
    services: dict[ServiceId, ServiceShape] = _default(Rules, "services")
    publish: tuple[PublishShape, ...] = _default(Rules, "publish")
    expect: tuple[ExpectShape, ...] = ()


def schema() -> str:
    """The shape of the file as JSON Schema (draft 2020-12), for editors."""
    outline: dict[str, Any] = msgspec.json.schema(RulesShape)
    outline["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    return msgspec.json.format(msgspec.json.encode(outline), indent=2).decode()
