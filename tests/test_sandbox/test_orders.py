"""Orders of every type: what is refused, what they cost, how they move, and that no money is lost on the way."""

from collections.abc import Mapping
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest

from providers.sandbox import Denied, Sandbox, Temper, Tempo
from providers.service_types import TYPES
from tests.test_sandbox.shop import FIELDS, KEY, LATER, LINK, ROWS, SERVICES, TEMPO, Buyer, Clock

pytestmark = pytest.mark.anyio


def conserved(panel: Sandbox) -> bool:
    """The balance is what was paid in, less every charge, and every refund back; both sums as the orders have them."""
    orders = panel.orders.values()
    taken, back = sum(order.taken for order in orders), sum(order.refunded for order in orders)
    return panel.balance == panel.opening - taken + back and (taken, back) == (panel.charged, panel.refunded)


@pytest.mark.parametrize(
    ("type", "units", "charge"),
    [
        ("Default", 500, "1"),
        ("Package", 1, "2"),
        ("SEO", 500, "1"),
        ("Custom Comments", 2, "0.004"),
        ("Custom Comments Package", 1, "2"),
        ("Comment Replies", 3, "0.006"),
        ("Comment Likes", 500, "1"),
        ("Mentions", 500, "1"),
        ("Mentions with Hashtags", 500, "1"),
        ("Mentions Custom List", 4, "0.008"),
        ("Mentions Hashtag", 500, "1"),
        ("Mentions User Followers", 500, "1"),
        ("Mentions Media Likers", 500, "1"),
        ("Poll", 500, "1"),
        ("Invites from Groups", 500, "1"),
        ("Web Traffic", 500, "1"),
        ("Subscriptions", 600, "0"),
    ],
)
async def test_each_type_is_ordered_by_its_own_fields(
    buyer: Buyer, panel: Sandbox, type: str, units: int, charge: str
) -> None:
    order = (await buyer.add(type))["order"]
    assert panel.orders[order].units == units
    assert panel.balance == 100 - Decimal(charge)
    (entry,) = panel.journal
    assert (entry.action, entry.remote_id, entry.service, entry.type) == ("add", order, SERVICES[type], type)
    assert entry.charge == Decimal(charge)
    lists = {"keywords", "usernames", "comments"}
    assert {name: text for name, text in entry.fields.items() if name not in lists} == {
        name: text for name, text in FIELDS[type].items() if name not in lists
    }


def test_the_types_here_are_all_the_types() -> None:
    assert set(FIELDS) == set(TYPES)


async def test_lists_come_in_lines_or_commas_and_comments_only_in_lines(buyer: Buyer, panel: Sandbox) -> None:
    await buyer.add("SEO")
    await buyer.add("Custom Comments")
    assert panel.journal[0].fields["keywords"] == "cats\ndogs"
    assert panel.journal[1].fields["comments"] == "nice\ngreat, really"


@pytest.mark.parametrize(
    ("type", "change", "words"),
    [
        ("Default", {"service": "999"}, "Incorrect service ID"),
        ("Default", {"service": ""}, "Incorrect service ID"),
        ("Default", {"link": " "}, "Incorrect link"),
        ("Default", {"link": "two words"}, "Incorrect link"),
        ("Default", {"quantity": ""}, "Incorrect quantity"),
        ("Default", {"quantity": "1e3"}, "Incorrect quantity"),
        ("Default", {"quantity": "\u0665\u0660\u0660"}, "Incorrect quantity"),
        ("Default", {"quantity": "9"}, "Quantity less than minimal 10"),
        ("Default", {"quantity": "10001"}, "Quantity more than maximum 10000"),
        ("Default", {"quantity": "99999999999"}, "Incorrect quantity"),
        ("Default", {"runs": "3"}, "Incorrect interval"),
        ("Default", {"interval": "3"}, "Incorrect runs"),
        ("Default", {"runs": "undefined", "interval": "3"}, "Incorrect runs"),
        ("Custom Comments", {"comments": "\r\n"}, "Incorrect comments"),
        ("Mentions", {"usernames": ","}, "Incorrect usernames"),
        ("Poll", {"answer_number": ""}, "Incorrect answer_number"),
        ("Web Traffic", {"device": "6"}, "Incorrect device"),
        ("Web Traffic", {"type_of_traffic": "4"}, "Incorrect type_of_traffic"),
        ("Web Traffic", {"google_keyword": ""}, "Incorrect google_keyword"),
        ("Web Traffic", {"type_of_traffic": "2"}, "Incorrect referring_url"),
        ("Subscriptions", {"username": ""}, "Incorrect username"),
        ("Subscriptions", {"min": "300"}, "Incorrect min"),
        ("Subscriptions", {"max": "20000"}, "Quantity more than maximum 10000"),
        ("Subscriptions", {"delay": "7"}, "Incorrect delay"),
        ("Subscriptions", {"posts": "0"}, "Incorrect posts"),
        ("Subscriptions", {"expiry": "1/1/1970"}, "Incorrect expiry"),
        ("Subscriptions", {"expiry": "tomorrow"}, "Incorrect expiry"),
    ],
)
async def test_a_wrong_order_is_refused_in_the_fields_words_and_costs_nothing(
    buyer: Buyer, panel: Sandbox, type: str, change: Mapping[str, str], words: str
) -> None:
    assert await buyer.add(type, **change) == {"error": words}
    assert panel.balance == 100
    assert not panel.journal
    assert not panel.orders


async def test_drip_feed_is_refused_where_it_is_not_sold(buyer: Buyer, panel: Sandbox) -> None:
    panel.catalogue = panel.catalogue.changed("1", dripfeed=False)
    assert await buyer.add(runs="2", interval="10") == {"error": "Dripfeed is not supported by this service"}


async def test_an_order_dearer_than_the_balance_is_refused(buyer: Buyer, panel: Sandbox) -> None:
    panel.balance = Decimal("0.99999")
    assert await buyer.add() == {"error": "Not enough funds on balance"}
    panel.balance = Decimal(1)
    assert await buyer.add() == {"order": 23_501}
    assert panel.balance == 0
    assert conserved(panel)


async def test_a_second_order_on_an_active_link_is_refused_where_asked(clock: Clock) -> None:
    panel = Sandbox("alpha", key=KEY, catalogue=ROWS, clock=clock, tempo=TEMPO, duplicate_links=True)
    first: Any = panel.ask("add", service="1", **FIELDS["Default"])
    refused = {"error": "You have active order with this link. Please wait until order being completed."}
    assert panel.ask("add", service="1", **FIELDS["Default"]) == refused
    assert "order" in str(panel.ask("add", service="7", **FIELDS["Comment Likes"])), "another service, the same link"
    panel.set_status(first["order"], "Completed")
    assert panel.ask("add", service="1", **FIELDS["Default"]) == {"order": 23_503}


async def test_an_order_moves_from_pending_to_completed(buyer: Buyer, panel: Sandbox, clock: Clock) -> None:
    order = str((await buyer.add())["order"])
    placed = {"charge": "1.00", "start_count": "0", "status": "Pending", "remains": "500", "currency": "USD"}
    assert await buyer.ask("status", order=order) == placed
    clock.now += 10 + 25
    quarter = await buyer.ask("status", order=order)
    assert (quarter["status"], quarter["remains"]) == ("In progress", "375")
    assert int(quarter["start_count"]) > 0
    clock.now += 75
    done = await buyer.ask("status", order=order)
    assert done == {**quarter, "status": "Completed", "remains": "0"}
    assert panel.refunded == 0


async def test_a_partial_order_gives_back_its_share(clock: Clock) -> None:
    panel = Sandbox("alpha", key=KEY, catalogue=ROWS, clock=clock, tempo=TEMPO, temper=Temper(partial=1))
    panel.ask("add", service="1", **FIELDS["Default"])
    clock.now += LATER
    told: Any = panel.ask("status", order="23501")
    remains = int(told["remains"])
    assert told["status"] == "Partial"
    assert 0 < remains < 500
    back = Decimal(remains) * 2 / 1000
    assert panel.balance == 1000 - 1 + back
    assert Decimal(told["charge"]) == 1 - back
    assert conserved(panel)


async def test_an_order_of_one_unit_is_never_partial(clock: Clock) -> None:
    panel = Sandbox("alpha", key=KEY, catalogue=ROWS, clock=clock, tempo=TEMPO, temper=Temper(partial=1))
    panel.ask("add", service=SERVICES["Package"], link=LINK)
    clock.now += LATER
    assert panel.state(23_501).status == "Completed"


async def test_a_canceled_order_gives_everything_back(clock: Clock) -> None:
    panel = Sandbox("alpha", key=KEY, catalogue=ROWS, clock=clock, tempo=TEMPO, temper=Temper(canceled=1))
    panel.ask("add", service="1", **FIELDS["Default"])
    clock.now += 50
    assert panel.balance == 999
    clock.now += LATER
    told: Any = panel.ask("status", order="23501")
    assert (told["status"], told["remains"], told["charge"]) == ("Canceled", "500", "0.00")
    assert panel.balance == 1000
    assert conserved(panel)


async def test_cancel_stops_an_order_soon_and_gives_back_what_remains(
    buyer: Buyer, panel: Sandbox, clock: Clock
) -> None:
    order = str((await buyer.add())["order"])
    clock.now += 10 + 50
    assert await buyer.ask("cancel", orders=f"9,{order}") == [
        {"order": 9, "cancel": {"error": "Incorrect order ID"}},
        {"order": 23_501, "cancel": 1},
    ]
    assert (await buyer.ask("status", order=order))["status"] == "In progress"
    clock.now += 4
    told = await buyer.ask("status", order=order)
    assert (told["status"], told["remains"], told["charge"]) == ("Partial", "250", "0.50")
    assert panel.balance == Decimal("99.5")
    assert [entry.action for entry in panel.journal] == ["add", "cancel"]
    assert conserved(panel)


async def test_cancel_before_the_first_unit_gives_everything_back(buyer: Buyer, panel: Sandbox, clock: Clock) -> None:
    order = str((await buyer.add())["order"])
    assert await buyer.ask("cancel", order=order) == [{"order": 23_501, "cancel": 1}]
    assert await buyer.ask("cancel", orders=order) == [{"order": 23_501, "cancel": 1}]
    clock.now += 5
    assert (await buyer.ask("status", order=order))["status"] == "Canceled"
    assert panel.balance == 100
    assert [entry.action for entry in panel.journal] == ["add", "cancel"], "a second wish changes nothing"
    refused = [{"order": 23_501, "cancel": {"error": "Order is already completed"}}]
    assert await buyer.ask("cancel", orders=order) == refused


async def test_a_drip_feed_is_paid_at_once_and_runs_as_orders_of_its_own(
    buyer: Buyer, panel: Sandbox, clock: Clock
) -> None:
    await buyer.add(quantity="100", runs="3", interval="10")
    assert panel.balance == Decimal("99.4")
    clock.now += 10
    first = await buyer.ask("status", order="23501")
    assert (first["status"], first["runs"], first["orders"]) == ("In progress", 1, [23_502])
    await buyer.add()
    clock.now += 600
    second = await buyer.ask("status", order="23501")
    assert (second["runs"], second["orders"], second["remains"]) == (2, [23_502, 23_504], "200")
    clock.now += 600 + 100
    last = await buyer.ask("status", order="23501")
    assert (last["status"], last["remains"], last["orders"]) == ("Completed", "0", [23_502, 23_504, 23_505])
    child = await buyer.ask("status", order="23505")
    assert (child["status"], child["charge"]) == ("Completed", "0.20")
    assert panel.balance == Decimal("98.4")
    assert conserved(panel)


async def test_a_canceled_drip_feed_ends_with_the_run_that_has_begun(
    buyer: Buyer, panel: Sandbox, clock: Clock
) -> None:
    await buyer.add(quantity="100", runs="3", interval="10")
    clock.now += 10
    await buyer.ask("cancel", orders="23501")
    clock.now += LATER
    told = await buyer.ask("status", order="23501")
    assert (told["status"], told["remains"], told["orders"], told["charge"]) == ("Partial", "200", [23_502], "0.20")
    assert conserved(panel)
    await buyer.add(quantity="100", runs="2", interval="10")
    clock.now += 10 + 600
    await buyer.ask("cancel", orders="23503")
    clock.now += LATER
    assert (await buyer.ask("status", order="23503"))["status"] == "Completed", "its last run had begun"


async def test_a_subscription_pays_post_by_post(buyer: Buyer, panel: Sandbox, clock: Clock) -> None:
    order = str((await buyer.add("Subscriptions", old_posts="1", expiry="1/1/2050"))["order"])
    begun = await buyer.ask("status", order=order)
    assert (begun["status"], begun["posts"], begun["expiry"]) == ("Active", 1, "1/1/2050")
    assert 0 < Decimal(begun["charge"]) == panel.charged
    clock.now += LATER
    done = await buyer.ask("status", order=order)
    assert (done["status"], done["posts"], done["remains"]) == ("Completed", 4, "0")
    posts = [panel.orders[child] for child in done["orders"]]
    assert all(100 <= post.units <= 200 and post.parent == int(order) for post in posts)
    assert Decimal(done["charge"]) == sum(post.charge for post in posts) == panel.charged
    assert conserved(panel)


async def test_a_subscription_pauses_without_money_ends_on_its_day_and_can_be_canceled(
    panel: Sandbox, clock: Clock
) -> None:
    fields = {"service": SERVICES["Subscriptions"], **FIELDS["Subscriptions"]}
    panel.ask("add", **{**fields, "posts": "", "expiry": "12/1/1970"})
    clock.now += LATER
    silent: Any = panel.ask("status", order="23501")
    assert (silent["status"], silent["remains"]) == ("Active", "0")
    assert 5 <= silent["posts"] < 30
    canceled: Any = panel.ask("add", **fields)
    panel.ask("cancel", order=str(canceled["order"]))
    panel.balance = Decimal(0)
    paused: Any = panel.ask("add", **fields)
    clock.now += LATER
    assert panel.state(paused["order"]).status == "Paused"
    assert panel.state(canceled["order"]).status == "Canceled"
    clock.now += 86_400
    assert panel.state(23_501).status == "Expired"
    assert conserved(panel)


async def test_a_status_set_by_hand_moves_the_money(buyer: Buyer, panel: Sandbox, clock: Clock) -> None:
    order = (await buyer.add())["order"]
    clock.now += LATER
    panel.set_status(order, "Partial", remains=100)
    assert (panel.state(order).remains, panel.balance) == (100, Decimal("99.2"))
    panel.set_status(order, "Canceled")
    assert (panel.state(order).remains, panel.balance) == (500, Decimal(100))
    panel.set_status(order, "Completed", start_count=12)
    assert (panel.state(order).remains, panel.state(order).start_count, panel.balance) == (0, 12, Decimal(99))
    panel.set_status(order, "Processing", remains=600)
    assert (panel.state(order).remains, panel.balance) == (600, Decimal(99))
    assert conserved(panel)
    with pytest.raises(Denied, match="Incorrect order ID"):
        panel.set_status(7, "Completed")


async def test_orders_of_others_take_ids_between_ours(clock: Clock) -> None:
    panel = Sandbox("alpha", key=KEY, catalogue=ROWS, clock=clock, crowd=5, first_order=10)
    replies: list[Any] = [panel.ask("add", service="2", link=LINK) for _ in range(50)]
    ids = [reply["order"] for reply in replies]
    gaps = {after - before for before, after in pairwise(ids)}
    assert ids[0] == 10
    assert gaps <= set(range(1, 7))
    assert len(gaps) > 2
    assert panel.ask("status", order=str(next(number for number in range(10, ids[-1]) if number not in ids))) == {
        "error": "Incorrect order ID"
    }


@pytest.mark.parametrize("seed", range(5))
async def test_money_is_conserved_whatever_happens(seed: int) -> None:
    clock = Clock()
    temper = Temper(partial=0.3, canceled=0.3)
    panel = Sandbox("alpha", key=KEY, catalogue=ROWS, clock=clock, tempo=TEMPO, temper=temper, seed=seed)
    for step in range(300):
        type = list(FIELDS)[step % len(FIELDS)]
        extra = {"runs": "3", "interval": "1"} if type == "Default" and step % 2 else {}
        reply: Any = panel.ask("add", service=SERVICES[type], **FIELDS[type], **extra)
        if step % 7 == 0:
            panel.ask("cancel", orders=str(reply["order"]))
        clock.now += (step * 13) % 60
        assert conserved(panel)
    clock.now += LATER
    assert conserved(panel)
    words = {panel.state(order).status for order in panel.orders}
    assert words == {"Completed", "Partial", "Canceled"}
    for order in panel.orders.values():
        assert 0 <= order.refunded <= order.taken


def _lived(seed: int, *, curious: bool) -> tuple[object, ...]:
    """A panel's life in short; `curious`: someone looks all the time."""
    clock = Clock()
    temper = Temper(partial=0.3, canceled=0.3)
    panel = Sandbox("alpha", key=KEY, catalogue=ROWS, clock=clock, tempo=Tempo(), temper=temper, seed=seed, crowd=3)
    for step in range(30):
        type = ("Default", "Subscriptions")[step % 2]
        panel.ask("add", service=SERVICES[type], **FIELDS[type])
        for _ in range(10):
            clock.now += 3
            if curious:
                panel.ask("status", orders=",".join(map(str, list(panel.orders)[-100:])))
    clock.now += 500
    told = tuple((order, panel.state(order)) for order in panel.orders)
    return panel.balance, told, tuple(panel.journal)


def test_a_seed_gives_the_same_life_again_whoever_looks() -> None:
    assert _lived(3, curious=False) == _lived(3, curious=True)
    assert _lived(3, curious=False) != _lived(4, curious=False)
