"""What a panel tells of orders."""

import json
from collections.abc import Callable, Mapping
from decimal import Decimal

import pytest

from providers.api_v2 import APIv2
from providers.api_v2.replies import statuses
from providers.base import (
    Action,
    OrderStatus,
    Refusal,
    Status,
)
from providers.errors import ProviderError, Reason, Refused, Throttled, Unanswered, Unsent
from providers.transport import Reply
from providers.transport.reply import reply
from providers.transport.session import Call
from tests.test_api_v2_provider.canned import FACTS, GONE, Canned, ask, panel

pytestmark = pytest.mark.anyio


DONE = {"charge": "0.27819", "start_count": "3572", "status": "Partial", "remains": "157", "currency": "USD"}
PARTIAL = Status(
    status=OrderStatus.PARTIAL,
    word="Partial",
    charge=Decimal("0.27819"),
    start_count=3572,
    remains=157,
    currency="USD",
)


async def test_one_order_is_asked_for_as_one_and_several_as_a_list() -> None:
    line = Canned(DONE)
    await APIv2(line).status(["5"])
    await APIv2(line).status(["5", "6", "5"])
    await APIv2(line).refill(["5"])
    await APIv2(line).refill(["5", "6"])
    await APIv2(line).refill_status(["5"])
    await APIv2(line).refill_status(["5", "6"])
    await APIv2(line).cancel(["5"])
    await APIv2(line).cancel(["5", "6"])
    assert [{name: value for name, value in sent.items() if name != "key"} for sent in line.sent] == [
        {"action": "status", "order": "5"},
        {"action": "status", "orders": "5,6"},
        {"action": "refill", "order": "5"},
        {"action": "refill", "orders": "5,6"},
        {"action": "refill_status", "refill": "5"},
        {"action": "refill_status", "refills": "5,6"},
        {"action": "cancel", "orders": "5"},
        {"action": "cancel", "orders": "5,6"},
    ]


@pytest.mark.parametrize("action", ["status", "refill", "refill_status", "cancel"])
async def test_no_ids_make_no_call_and_too_many_are_not_sent(action: Action) -> None:
    line = Canned(DONE)
    assert await getattr(APIv2(line), action)([]) == {}
    with pytest.raises(Unsent, match="101 ids in one call, at most 100"):
        await getattr(APIv2(line), action)([str(number) for number in range(1, 102)])
    assert line.sent == []


@pytest.mark.parametrize(
    "said",
    [
        DONE,
        {"order": 5, **DONE},
        {"order": "5", "service": 1, **DONE},
        {"5": DONE},
        [{"order": 5, **DONE}],
        [DONE],
        {"data": DONE},
        {"status": "success", "data": {"5": DONE}},
        {"status": "success", "data": [{"order": "5", **DONE}]},
        {"error": None, **DONE},
    ],
)
async def test_the_status_of_one_order_is_found_in_any_shape(said: object) -> None:
    assert await panel(said).status(["5"]) == {"5": PARTIAL}


@pytest.mark.parametrize(
    "said",
    [
        {"5": DONE, "6": {"error": "Incorrect order ID"}, "9": DONE},
        {"5": DONE, "6": "Incorrect order ID"},
        {"data": {"5": DONE, "6": {"error": "Incorrect order ID"}}},
        {"orders": {"5": DONE, "6": {"error": "Incorrect order ID"}}},
        {"orders": [{"order": 5, **DONE}, {"order": 6, "error": "Incorrect order ID"}, {"order": 9, **DONE}]},
        [{"order": 6, "error": "Incorrect order ID"}, {"id": "5", **DONE}, {"order": 9, **DONE}, "x", DONE],
        {"5": DONE, "6": {"status": {"error": "Incorrect order ID"}}},
    ],
)
async def test_of_several_orders_each_asked_for_is_told_and_no_other(said: object) -> None:
    assert await panel(said).status(["5", "6"]) == {"5": PARTIAL, "6": GONE}


@pytest.mark.parametrize(
    "said",
    [
        {},
        [],
        [DONE, DONE],
        DONE,
        {"7": DONE},
        {"5": {}, "6": None},
        {"5": [], "6": 5},
        {"status": "success"},
        {"data": {}},
        None,
        5,
    ],
)
async def test_what_is_not_told_of_an_order_is_absent(said: object) -> None:
    assert await panel(said).status(["5", "6"]) == {}


@pytest.mark.parametrize(
    "said",
    [
        {"order": 999, **DONE},
        {"status": "success"},
        {"status": "Fail"},
        {"status": "success", "order": 5},
        {},
        [],
        [5],
        [DONE, DONE],
    ],
)
async def test_an_answer_about_something_else_tells_nothing_of_the_one_order(said: object) -> None:
    assert await panel(said).status(["5"]) == {}


async def told(**fields: object) -> Status:
    status = (await panel(json.dumps(DONE | fields).encode()).status(["5"]))["5"]
    assert isinstance(status, Status)
    return status


@pytest.mark.parametrize(
    ("fields", "attribute", "value"),
    [
        ({"charge": 0.08011655652}, "charge", Decimal("0.08011655652")),
        ({"charge": None}, "charge", None),
        ({"charge": "1" * 100}, "charge", None),
        ({"charge": 10**400}, "charge", None),
        ({"charge": "1e-99"}, "charge", None),
        ({"charge": "-3"}, "charge", None),
        ({"charge": "Infinity"}, "charge", None),
        ({"start_count": 7}, "start_count", 7),
        ({"start_count": None}, "start_count", None),
        ({"start_count": ""}, "start_count", None),
        ({"start_count": "-7"}, "start_count", None),
        ({"remains": 157}, "remains", 157),
        ({"remains": "Unknown"}, "remains", None),
        ({"remains": "-20"}, "remains", 0),
        ({"remains": "+20"}, "remains", 0),
        ({"remains": "+x"}, "remains", None),
        ({"remains": "10.5"}, "remains", None),
        ({"remains": None}, "remains", None),
        ({"currency": "inr"}, "currency", "INR"),
        ({"currency": "₹"}, "currency", "INR"),
        ({"currency": None}, "currency", None),
        ({"runs": "10", "orders": [1, "2", 0, None]}, "orders", ("1", "2")),
        ({"runs": "10"}, "runs", 10),
        ({"posts": 3}, "posts", 3),
        ({"expiry": "31/12/2026"}, "expiry", "31/12/2026"),
        ({"expiry": True}, "expiry", None),
        ({"expiry": ""}, "expiry", None),
        ({"orders": "1,2"}, "orders", ()),
    ],
)
async def test_a_figure_is_read_as_panels_write_it(fields: dict[str, object], attribute: str, value: object) -> None:
    assert getattr(await told(**fields), attribute) == value


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("Pending", OrderStatus.PENDING),
        ("Awaiting", OrderStatus.PENDING),
        ("Processing", OrderStatus.PROCESSING),
        ("In progress", OrderStatus.IN_PROGRESS),
        ("in_progress", OrderStatus.IN_PROGRESS),
        ("Inprogress", OrderStatus.IN_PROGRESS),
        ("IN-PROGRESS", OrderStatus.IN_PROGRESS),
        ("Completed", OrderStatus.COMPLETED),
        ("success", OrderStatus.COMPLETED),
        ("Partially Completed", OrderStatus.PARTIAL),
        ("Canceled", OrderStatus.CANCELED),
        ("Cancelled", OrderStatus.CANCELED),
        ("Refunded", OrderStatus.CANCELED),
        ("Fail", OrderStatus.CANCELED),
        ("Active", OrderStatus.ACTIVE),
        ("Paused", OrderStatus.PAUSED),
        ("Expired", OrderStatus.EXPIRED),
        (4, OrderStatus.CANCELED),
        ("Error", None),
        ("Failed", None),
        ("Completed soon", None),
    ],
)
async def test_a_status_word_means_what_the_field_means_by_it(word: object, status: OrderStatus | None) -> None:
    found = await told(status=word)
    assert (found.status, found.word) == (status, str(word))


@pytest.mark.skipif(not FACTS.exists(), reason="the collection of the field's words is not on this machine")
async def test_every_status_of_the_field_has_its_meaning() -> None:
    folds = {"failed": None} | {status.name.lower(): status for status in OrderStatus}
    folds |= {f"subscription_{name}": folds[name] for name in ("active", "paused", "expired")}
    for fact in json.loads(FACTS.read_text())["statuses"]:
        if "numeric" not in fact["status"]:
            for word in fact["status"].split(" / "):
                assert (await told(status=word)).status == folds[fact["fold"]], word


async def test_a_lone_word_in_place_of_an_entry_is_read() -> None:
    assert await panel({"5": "Completed", "6": "Something new"}).status(["5", "6"]) == {
        "5": Status(status=OrderStatus.COMPLETED, word="Completed"),
        "6": Refusal(Reason.OTHER, "Something new"),
    }


async def test_the_children_of_a_drip_feed_are_not_its_status() -> None:
    found = await panel({"status": "In progress", "runs": 1, "orders": [77]}).status(["5"])
    assert found == {"5": Status(status=OrderStatus.IN_PROGRESS, word="In progress", runs=1, orders=("77",))}


async def test_a_no_about_one_order_is_an_answer_and_one_about_us_or_all_is_an_error() -> None:
    assert await panel({"error": "Incorrect order ID"}).status(["5"]) == {"5": GONE}
    assert await panel({"error": "Incorrect order ID"}, 404).status(["5"]) == {"5": GONE}
    assert await panel("Incorrect order ID").status(["5"]) == {"5": GONE}
    with pytest.raises(Refused) as caught:
        await panel({"error": "Invalid API key"}).status(["5"])
    assert caught.value.reason is Reason.KEY


async def test_a_number_of_a_million_digits_is_no_charge() -> None:
    said = json.dumps(DONE).replace('"0.27819"', "0." + "1" * 1_000_000).encode()
    status = (await panel(said).status(["5", "6"])).get("5")
    assert status is None
    status = (await panel(b'{"5": ' + said + b"}").status(["5", "6"]))["5"]
    assert isinstance(status, Status)
    assert (status.charge, status.remains) == (None, 157)


class Strict(Canned):
    """A panel that says no to a whole call for the sake of one id that it does not like."""

    def __init__(self, bad: set[str], *, no: Callable[[int], tuple[int, object]] | None = None) -> None:
        super().__init__(None)
        self._bad = bad
        self._no = no or (lambda _: (200, {"error": "Incorrect order ID"}))

    async def _exchange(self, call: Call, body: bytes) -> Reply:
        await super()._exchange(call, body)
        sent = self.sent[-1]
        asked = next(value for name, value in sent.items() if name in {"order", "orders", "refill", "refills"}).split(
            ","
        )
        if self._bad & set(asked):
            status, said = self._no(len(self.sent))
        else:
            status, said = 200, dict.fromkeys(asked, DONE) if len(asked) > 1 else DONE
        return reply(status, {}, json.dumps(said).encode())


HUNDRED = [str(number) for number in range(1, 101)]


@pytest.mark.parametrize("bad", [{"1"}, {"100"}, {"37", "38"}])
async def test_one_bad_id_does_not_hide_the_others_of_a_batch(bad: set[str]) -> None:
    line = Strict(bad)
    found = await APIv2(line).status(HUNDRED)
    assert set(found) == set(HUNDRED)
    assert {id for id, status in found.items() if isinstance(status, Refusal)} == bad
    assert all(found[id] == GONE for id in bad)
    assert len(line.sent) <= 2 * 8 * len(bad)


async def test_a_batch_of_bad_ids_takes_less_than_two_calls_an_id() -> None:
    line = Strict(set(HUNDRED))
    assert await APIv2(line).status(HUNDRED) == dict.fromkeys(HUNDRED, GONE)
    assert len(line.sent) == 199


async def test_refills_are_asked_about_again_in_halves_too() -> None:
    line = Strict({"3"}, no=lambda _: (200, {"error": "Incorrect refill ID"}))
    found: Mapping[str, object] = await APIv2(line).refill_status(["1", "2", "3", "4"])
    assert found["3"] == Refusal(Reason.REFILL, "Incorrect refill ID")
    assert len(found) == 4


async def test_a_write_is_never_made_again_in_halves() -> None:
    for action in ("refill", "cancel"):
        line = Strict({"3"})
        with pytest.raises(Refused):
            await getattr(APIv2(line), action)(["1", "2", "3", "4"])
        assert len(line.sent) == 1


async def test_what_was_told_before_a_panel_wants_no_more_calls_is_not_lost() -> None:
    line = Strict({"4"}, no=lambda call: (200, {"error": "Incorrect order ID"}) if call < 3 else (429, {}))
    assert set(await APIv2(line).status(["1", "2", "3", "4"])) == {"1", "2"}
    line = Strict({"1"}, no=lambda call: (200, {"error": "Incorrect order ID"}) if call < 2 else (429, {}))
    with pytest.raises(Throttled):
        await APIv2(line).status(["1", "2", "3", "4"])


async def test_a_no_about_us_is_not_asked_again_in_halves() -> None:
    line = Strict({"1"}, no=lambda _: (200, {"error": "Invalid API key"}))
    with pytest.raises(Refused):
        await APIv2(line).status(HUNDRED)
    assert len(line.sent) == 1


async def test_of_the_children_of_an_order_the_first_thousand_are_told() -> None:
    assert (await told(orders=list(range(1, 5001)))).orders == tuple(map(str, range(1, 1001)))


async def test_of_many_entries_about_one_order_the_last_is_read() -> None:
    read: list[object] = []

    class Counted(dict[str, object]):
        def get(self, name: str, default: object = None) -> object:
            if name == "charge":
                read.append(self)
            return super().get(name, default)

    entries = [Counted(DONE, order=5, charge=str(place)) for place in range(1000)]
    found = statuses(entries, ("5", "6"))["5"]
    assert isinstance(found, Status)
    assert found.charge == 999
    assert len({id(entry) for entry in read}) == 1


async def test_a_number_that_no_arithmetic_can_hold_is_no_charge() -> None:
    for figure in (b"1e1000000", b"-1e1000000", b"1e-1000000", b"1e99999999999999999999"):
        said = json.dumps(DONE).encode().replace(b'"0.27819"', figure)
        status = (await panel(said).status(["5"]))["5"]
        assert isinstance(status, Status)
        assert (status.charge, status.remains) == (None, 157)


async def test_a_long_no_is_cut() -> None:
    found = await panel({"5": {"error": "x" * 60_000}, "6": "Completed" + "!" * 60_000}).status(["5", "6"])
    assert found["5"] == Refusal(Reason.OTHER, "x" * 300)
    assert found["6"] == Status(status=OrderStatus.COMPLETED, word="Completed" + "!" * 91)
    with pytest.raises(ProviderError) as caught:
        await panel({"error": "x" * 60_000}).status(["5", "6"])
    assert isinstance(caught.value, Refused)
    assert caught.value.text == caught.value.what == "x" * 300
    assert len(str(caught.value)) < 350


@pytest.mark.parametrize("action", ["services", "add", "status", "refill", "refill_status", "cancel", "balance"])
async def test_whatever_breaks_the_reader_leaves_the_outcome_open(
    action: Action, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> object:
        raise ZeroDivisionError

    for place in ("provider.document", "provider.failure"):
        with monkeypatch.context() as patch:
            patch.setattr(f"providers.api_v2.{place}", broken)
            with pytest.raises(Unanswered, match="ZeroDivisionError") as caught:
                await ask(panel({"x": 1}), action)
        assert caught.value.evidence["body"] == '{"x": 1}'
