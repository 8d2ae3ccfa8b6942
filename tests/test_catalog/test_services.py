"""What the rules and the panels' lists together let us sell."""

from collections.abc import Mapping
from decimal import Decimal

import pytest

from gateway.catalog.guard import held_back
from gateway.catalog.services import Compiled, Conflict, Listed, Service, matching, merged, published, written
from gateway.conditions import Facts, condition, failing
from gateway.routing import Policy
from gateway.rules import model
from providers.base import RemoteService, Services, Skipped
from tests.test_catalog.fakes import numbered, row, rules

ONE = Decimal(1)


def listed(*rows: RemoteService, exchange: Decimal = ONE) -> Listed:
    return Listed({row.remote_service: row for row in rows}, exchange)


def routes(*named: str) -> tuple[model.Route, ...]:
    return tuple(model.Route(panel=name.split("/")[0], service=name.split("/")[1]) for name in named)


def compiled(service: model.Service, lists: Mapping[str, Listed], **fields: object) -> Compiled:
    return written(rules("alpha", "beta", services={7: service}, **fields), lists)


def sold(service: model.Service, lists: Mapping[str, Listed], **fields: object) -> Service:
    services = compiled(service, lists, **fields).services
    assert len(services) == 1
    return services[0]


def why(service: model.Service, lists: Mapping[str, Listed]) -> list[str]:
    unsold = compiled(service, lists)
    assert unsold.services == ()
    return [conflict.why for conflict in unsold.conflicts]


TWO = model.Service(routes=routes("alpha/1", "beta/2"))


def ids(count: int) -> list[str]:
    return [str(id) for id in range(1, count + 1)]


class TestGuard:
    @pytest.mark.parametrize("rows", [1, 5, 10, 100])
    def test_a_list_at_least_half_as_long_passes(self, rows: int) -> None:
        assert held_back(ids(min(10, 2 * rows)), numbered(rows)) is None

    def test_a_list_less_than_half_as_long_is_held_back(self) -> None:
        assert held_back(ids(10), numbered(4)) == "4 rows, fewer than half of the last good list's 10"

    def test_a_list_of_other_ids_is_held_back_however_long(self) -> None:
        others = Services(rows=tuple(row(f"9{id}") for id in range(20)))
        why = "0 of the last good list's 10 ids are still there, fewer than half"
        assert held_back(ids(10), others) == why
        assert held_back(ids(10), Services(rows=(*numbered(5).rows, *others.rows))) is None

    @pytest.mark.parametrize("old", [0, 10])
    def test_an_empty_list_is_held_back_even_as_the_first(self, old: int) -> None:
        assert held_back(ids(old), Services(rows=())) == "the list is empty"

    def test_a_list_without_a_row_that_can_be_used_is_held_back(self) -> None:
        broken = Services(rows=(), skipped=(Skipped("#1", "no rate"), Skipped("#2", "no rate")))
        assert held_back((), broken) == "none of 2 rows can be used; #1: no rate"


class TestWritten:
    def test_what_the_rules_leave_open_comes_from_the_first_listed_route(self) -> None:
        first = row("2", name="Likes", category="TikTok", type="Package", description="fast", dripfeed=False)
        service = sold(TWO, {"alpha": listed(), "beta": listed(first)})
        assert (service.id, service.name, service.category) == (7, "Likes", "TikTok")
        assert (service.type, service.description, service.dripfeed) == ("Package", "fast", False)
        assert (service.policy, service.condition) == ((Policy.CHEAPEST,), None)

    def test_what_the_rules_say_wins(self) -> None:
        said = model.Service(
            routes=routes("alpha/1"),
            name="Ours",
            category="Best",
            type="Default",
            description="",
            rate=Decimal("2.5"),
            min=20,
            max=500,
            refill=True,
            cancel=True,
            policy=(Policy.HEALTHIEST,),
        )
        service = sold(said, {"alpha": listed(row("1", description="theirs"))}, margin=Decimal(9))
        assert (service.name, service.category, service.description) == ("Ours", "Best", "")
        assert (service.rate, service.min, service.max) == (Decimal("2.5"), 20, 500)
        assert (service.refill, service.cancel, service.policy) == (True, True, (Policy.HEALTHIEST,))

    def test_min_and_max_span_all_routes_of_its_type(self) -> None:
        other = row("3", type="Package", min=1, max=9999)
        lists = {"alpha": listed(row("1", min=50, max=100), other), "beta": listed(row("2", min=20, max=80))}
        service = sold(model.Service(routes=routes("alpha/1", "beta/2", "alpha/3")), lists)
        assert (service.min, service.max) == (20, 100)

    def test_the_rules_narrow_min_and_max_and_never_widen_them(self) -> None:
        narrow = model.Service(routes=routes("alpha/1"), min=1, max=90)
        service = sold(narrow, {"alpha": listed(row("1", min=50, max=100))})
        assert (service.min, service.max) == (50, 90)

    def test_rules_that_leave_no_quantity_are_a_conflict(self) -> None:
        narrow = model.Service(routes=routes("alpha/1"), min=2000)
        assert why(narrow, {"alpha": listed(row("1"))}) == ["no quantity is left between its min 2000 and its max 1000"]

    @pytest.mark.parametrize(("refills", "promised"), [((True, True), True), ((True, False), False)])
    def test_refill_and_cancel_are_promised_when_all_routes_have_them(
        self, refills: tuple[bool, bool], promised: bool
    ) -> None:
        one, other = refills
        lists = {
            "alpha": listed(row("1", refill=one, cancel=other)),
            "beta": listed(row("2", refill=other, cancel=one)),
        }
        service = sold(TWO, lists)
        assert (service.refill, service.cancel) == (promised, promised)

    @pytest.mark.parametrize(
        ("said", "shown"),
        [
            ((True, None), True),
            ((False, True), True),
            ((None, False), None),
            ((None, None), None),
            ((False, False), False),
        ],
    )
    def test_dripfeed_is_shown_as_the_panels_say(
        self, said: tuple[bool | None, bool | None], shown: bool | None
    ) -> None:
        lists = {"alpha": listed(row("1", dripfeed=said[0])), "beta": listed(row("2", dripfeed=said[1]))}
        assert sold(TWO, lists).dripfeed is shown

    def test_the_rate_is_the_dearest_routes_cost_and_the_margin(self) -> None:
        lists = {"alpha": listed(row("1", rate=Decimal("0.9"))), "beta": listed(row("2", rate=Decimal("1.1")))}
        assert sold(TWO, lists, margin=Decimal("0.15")).rate == Decimal("1.2650")

    def test_the_rate_can_come_from_the_cheapest_route(self) -> None:
        lists = {"alpha": listed(row("1", rate=Decimal("0.9"))), "beta": listed(row("2", rate=Decimal("1.1")))}
        cheapest = {"rate_from": model.RateFrom.CHEAPEST}
        assert sold(TWO, lists, **cheapest).rate == Decimal("0.9000")

    def test_a_services_own_margin_goes_before_the_general_one(self) -> None:
        own = model.Service(routes=routes("alpha/1"), margin=Decimal(0))
        assert sold(own, {"alpha": listed(row("1"))}, margin=Decimal("0.5")).rate == Decimal(1)

    def test_costs_are_compared_in_our_currency(self) -> None:
        lists = {
            "alpha": listed(row("1", rate=Decimal(1))),
            "beta": listed(row("2", rate=Decimal(50)), exchange=Decimal("0.0105")),
        }
        assert sold(TWO, lists).rate == Decimal(1)

    def test_a_rate_is_rounded_up_to_what_shops_can_show(self) -> None:
        lists = {"alpha": listed(row("1", rate=Decimal("0.00011"))), "beta": listed()}
        service = sold(TWO, lists)
        assert str(service.rate) == "0.0002"

    def test_without_any_route_that_can_be_bought_it_is_not_shown_and_says_why(self) -> None:
        three = model.Service(routes=routes("alpha/1", "alpha/2", "beta/1"), type="Default")
        lists = {"alpha": listed(row("2", type="Package")), "beta": Listed(None, ONE)}
        assert compiled(three, lists) == Compiled(
            (),
            (
                Conflict(7, "alpha", "1", "not in the panel's list"),
                Conflict(7, "alpha", "2", 'its type is "Package", not "Default"'),
                Conflict(7, "beta", "1", "the panel has given no list yet"),
                Conflict(7, "", "", "none of its routes can be bought"),
            ),
        )

    @pytest.mark.parametrize("rate", ["0", "1000000000000"])
    def test_a_row_without_a_price_does_not_count(self, rate: str) -> None:
        lists = {"alpha": listed(row("1", rate=Decimal(rate))), "beta": listed(row("2", name="Priced"))}
        both = compiled(TWO, lists)
        assert [service.name for service in both.services] == ["Priced"]
        assert both.conflicts == (Conflict(7, "alpha", "1", f"its rate is {rate}, which is no price"),)

    def test_its_routes_carry_its_own_condition_too(self) -> None:
        service = model.Service(
            routes=(
                model.Route(panel="alpha", service="1", weight=3, when=condition(link="*instagram*")),
                model.Route(panel="beta", service="2"),
            ),
            when=condition(quantity=">= 100"),
        )
        shown = sold(service, {"alpha": listed(row("1")), "beta": listed(row("2"))})
        assert shown.condition == service.when
        first, second = (route.when for route in shown.routes)
        assert first is not None
        assert second is not None
        assert failing(first, Facts(quantity=100, link="https://instagram.com/p")) is None
        assert failing(first, Facts(quantity=99, link="https://instagram.com/p")) is not None
        assert failing(first, Facts(quantity=100, link="https://tiktok.com/p")) is not None
        assert failing(second, Facts(quantity=99, link="https://tiktok.com/p")) is not None
        assert [route.weight for route in shown.routes] == [3, 1]


class TestPublished:
    def test_globs_match_whatever_the_case(self) -> None:
        rows = [row("1", category="INSTAGRAM Likes"), row("2", category="TikTok"), row("3", category="instagram")]
        entry = model.Publish(panel="alpha", category="Instagram*")
        assert [one.remote_service for one in matching(entry, rows)] == ["1", "3"]

    def test_both_globs_must_match(self) -> None:
        rows = [row("1", name="Likes [fast]"), row("2", name="Likes"), row("3", name="Views [fast]", category="TikTok")]
        entry = model.Publish(panel="alpha", category="insta*", name="*fast*")
        assert [one.remote_service for one in matching(entry, rows)] == ["1"]

    def test_a_row_becomes_a_service_with_one_route(self) -> None:
        entry = model.Publish(panel="alpha")
        one = row("42", rate=Decimal("0.5"), refill=True, dripfeed=True, description="30 days")
        part = published(entry, rules(margin=Decimal("0.1"), policy=(Policy.WEIGHTED,)), [one], Decimal(2), None)
        assert part == Compiled(
            (
                Service(
                    id=42,
                    name="Service 42",
                    type="Default",
                    category="Instagram",
                    rate=Decimal("1.1"),
                    min=10,
                    max=1000,
                    refill=True,
                    cancel=False,
                    dripfeed=True,
                    description="30 days",
                    policy=(Policy.WEIGHTED,),
                    routes=routes("alpha/42"),
                    paid=Decimal(1),
                ),
            )
        )

    def test_an_entrys_own_margin_goes_before_the_general_one(self) -> None:
        entry = model.Publish(panel="alpha", margin=Decimal(1))
        part = published(entry, rules(margin=Decimal("0.1")), [row("1")], ONE, None)
        assert part.services[0].rate == Decimal(2)

    @pytest.mark.parametrize("id", ["1", "2147483647"])
    def test_a_panels_number_is_kept_as_the_id(self, id: str) -> None:
        part = published(model.Publish(panel="alpha"), rules(), [row(id)], ONE, None)
        assert [service.id for service in part.services] == [int(id)]

    @pytest.mark.parametrize("id", ["0", "2147483648", "007", "SUB-12", "65f2", "-1", "٣", "99999999999"])
    def test_an_id_that_shops_cannot_store_is_left_out(self, id: str) -> None:
        part = published(model.Publish(panel="alpha"), rules(), [row(id)], ONE, None)
        why = f'its id "{id}" is not a number from 1 to 2147483647'
        assert part == Compiled((), (Conflict(None, "alpha", id, why),))

    def test_given_ids_are_used_whatever_the_panels_are(self) -> None:
        entry = model.Publish(panel="alpha", ids=model.Ids.NEW)
        part = published(entry, rules(), [row("SUB-12"), row("x")], ONE, {"SUB-12": 1_000_000})
        assert [(service.id, service.routes) for service in part.services] == [(1_000_000, routes("alpha/SUB-12"))]
        assert part.conflicts == (Conflict(None, "alpha", "x", "it has no id of ours yet"),)

    @pytest.mark.parametrize(
        ("fields", "why"),
        [
            ({"rate": Decimal(0)}, "its rate is 0, which is no price"),
            ({"min": 10, "max": 9}, "its min 10 is above its max 9"),
        ],
    )
    def test_a_row_that_makes_no_sense_is_left_out(self, fields: dict[str, object], why: str) -> None:
        part = published(model.Publish(panel="alpha"), rules(), [row("5", **fields)], ONE, None)
        assert part == Compiled((), (Conflict(5, "alpha", "5", why),))


class TestMerged:
    def parts(self) -> tuple[Compiled, Compiled]:
        alpha = published(model.Publish(panel="alpha"), rules(), [row("1"), row("2")], ONE, None)
        beta = published(model.Publish(panel="beta"), rules(), [row("2", name="Beta's"), row("3")], ONE, None)
        return alpha, beta

    def test_an_earlier_entry_keeps_its_id(self) -> None:
        services, conflicts = merged(Compiled(), self.parts(), rules(), {})
        assert list(services) == [1, 2, 3]
        assert services[2].name == "Service 2"
        assert conflicts == (Conflict(2, "beta", "2", "the id 2 is taken by alpha/2"),)

    def test_an_id_that_shops_have_stored_stays_with_its_panel_while_that_one_lists_it(self) -> None:
        alpha, beta = self.parts()
        before, _ = merged(Compiled(), (Compiled(), beta), rules(), {})
        services, conflicts = merged(Compiled(), (alpha, beta), rules(), before)
        assert services[2].name == "Beta's"
        assert conflicts == (Conflict(2, "alpha", "2", "the id 2 is taken by beta"),)
        without, _ = merged(Compiled(), (alpha, Compiled()), rules(), services)
        assert without[2].name == "Service 2"

    def test_the_rules_keep_their_ids_and_come_first(self) -> None:
        ours = rules("alpha", services={3: model.Service(routes=routes("alpha/1"))})
        first = written(ours, {"alpha": listed(row("1"))})
        services, conflicts = merged(first, self.parts(), ours, {})
        assert list(services) == [3, 1, 2]
        assert services[3].routes == routes("alpha/1")
        assert conflicts[-1] == Conflict(3, "beta", "3", "the id 3 is a service's of the rules")

    def test_an_id_of_the_rules_is_theirs_also_while_they_cannot_sell_it(self) -> None:
        ours = rules("alpha", services={3: model.Service(routes=routes("alpha/9"))})
        services, _ = merged(written(ours, {"alpha": listed()}), self.parts(), ours, {})
        assert list(services) == [1, 2]
