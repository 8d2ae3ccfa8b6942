"""Every field of every action with everything that can be wrong with it, through the whole gateway.

The answer is an error in the field's own words with HTTP 200, and not one row of the ledger changes.
"""

import contextlib
import sqlite3
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import msgspec
import pytest

from gateway.door.rates import Guesses
from gateway.rules.model import Publish, Rules
from providers.sandbox import Sandbox, Tempo
from providers.sandbox.fault_table import ACTIONS
from providers.service_types import TYPES, form
from tests import wares
from tests.running import Selling, panel, selling, until

pytestmark = pytest.mark.anyio

NOT_A_NUMBER: Mapping[str, str] = {
    "a word": "many",
    "NUL": "1\x002",
    "huge": "9" * 100_000,
    "unicode digits": "\uff11\uff12",
    "2**31": str(2**31),
    "2**63": str(2**63),
    "negative": "-1",
    "exponent": "1e3",
    "fraction": "1.5",
    "plus": "+-1",
    "quote": "1' OR 1=1 --",
}
ABSENT: Mapping[str, str | None] = {"missing": None, "empty": "", "blank": "   "}
NUMBER: Mapping[str, str | None] = {**ABSENT, **NOT_A_NUMBER}
POSITIVE: Mapping[str, str | None] = {**NUMBER, "zero": "0"}
CHOICE: Mapping[str, str | None] = {**POSITIVE, "out of range": "6"}
LINES: Mapping[str, str | None] = {
    **ABSENT,
    "NUL": "a\x00b",
    "huge": "9" * 100_000,
    "escape": "a\x1b[2Jb",
    "line separator": "a\u2028b",
    "next line": "a\x85b",
}
TEXT: Mapping[str, str | None] = {**LINES, "two lines": "a\nb"}
DATE: Mapping[str, str | None] = {**NOT_A_NUMBER, "no such day": "31/02/2031", "another order": "2031-12-31"}

WRONG: Mapping[str, Mapping[str, str | None]] = {
    # Any text is a key or an action that nobody knows.
    **dict.fromkeys(("key", "action"), NUMBER),
    **dict.fromkeys(("service", "order", "orders", "refill", "refills", "quantity", "min", "max"), POSITIVE),
    # 0 is a delay, but no device.
    **dict.fromkeys(("device", "type_of_traffic"), CHOICE),
    "delay": NUMBER,
    # Half a drip-feed is none: each of the two is missed beside the other.
    **dict.fromkeys(("runs", "interval"), POSITIVE),
    # Absent they mean "no limit", "none" and "never".
    **dict.fromkeys(("posts", "old_posts"), NOT_A_NUMBER),
    "expiry": DATE,
    # Any words, and a poll's answer may be more than a number.
    **dict.fromkeys(("link", "username", "hashtag", "media", "answer_number", "country"), TEXT),
    # Needed by their kind of traffic, which each good call below names.
    **dict.fromkeys(("google_keyword", "referring_url"), TEXT),
    **dict.fromkeys(("comments", "usernames", "hashtags", "keywords", "groups"), LINES),
}
"""What is wrong with each field."""

REPEATED = {"orders", "refills", "comments", "usernames", "hashtags", "keywords", "groups"}
"""Sent twice with different values they are one longer list, as JSON arrays and PHP's brackets send it."""

WORDS = {
    "key": "Invalid API key",
    "action": "Incorrect request",
    "service": "Incorrect service ID",
    **dict.fromkeys(("order", "orders"), "Incorrect order ID"),
    **dict.fromkeys(("refill", "refills"), "Refill not found"),
}
"""The words of a field, where they are not "Incorrect" and its name."""


class Shop:
    def __init__(self, selling: Selling, box: Sandbox, ledger: Path) -> None:
        self.selling, self.box, self.ledger = selling, box, ledger

    async def send(self, pairs: list[tuple[str, str]]) -> Any:
        """A form as it is, repeated fields and all."""
        body = urlencode(pairs).encode()
        head = {"content-type": "application/x-www-form-urlencoded"}
        async with self.selling.session.post(self.selling.url, data=body, headers=head) as answer:
            assert answer.status == 200
            return msgspec.json.decode(await answer.read())

    async def completed(self) -> int:
        """An order that nothing changes any more."""
        order: int = (await self.selling.call("add", service=1, link=wares.LINK, quantity=20))["order"]

        async def done() -> bool:
            return bool((await self.selling.call("status", order=order))["status"] == "Completed")

        await until(done)
        return order

    def asked(self) -> list[int]:
        """How often the panel was asked for something."""
        return [self.box.sends[action] for action in ("add", "refill", "cancel")]

    def rows(self) -> list[tuple[Any, ...]]:
        """Everything the ledger knows of money, orders and refills."""
        with contextlib.closing(sqlite3.connect(self.ledger)) as db:
            tables = ("account", "orders", "attempt", "transfer", "entry", "event", "refill")
            return [(table, *row) for table in tables for row in db.execute(f"SELECT * FROM {table}")]  # noqa: S608


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    box = Sandbox("p1", key="panel-key", catalogue=wares.services(), tempo=Tempo(pending=(0, 0), work=(0, 0)))
    async with box.serve() as url:
        rules = Rules(panels={"p1": panel(url)}, publish=(Publish(panel="p1"),))
        async with selling(rules, tmp_path) as ours:
            ours.gateway.door._guesses = Guesses(at_once=10_000)  # each of a hundred wrong keys is to be told so
            await ours.gateway.catalog.until_ready()
            yield Shop(ours, box, tmp_path / "panelmux.db")


def calls(order: int, refill: int) -> list[dict[str, str]]:
    """A good call of every action, of `add` one for each type, with every field that any type has."""
    adds = {type: {"action": "add", "service": wares.service_of(type), **form(wares.orders()[type])} for type in TYPES}
    return [
        *adds.values(),
        {**adds["Default"], "runs": "2", "interval": "5"},
        {**adds["Subscriptions"], "old_posts": "3", "expiry": "31/12/2031"},
        {**adds["Web Traffic"], "type_of_traffic": "2", "referring_url": wares.LINK},
        {"action": "services"},
        {"action": "balance"},
        {"action": "status", "order": str(order)},
        {"action": "status", "orders": str(order)},
        {"action": "refill", "order": str(order)},
        {"action": "refill", "orders": str(order)},
        {"action": "refill_status", "refill": str(refill)},
        {"action": "refill_status", "refills": str(refill)},
        {"action": "cancel", "orders": str(order)},
        {"action": "cancel", "order": str(order)},
    ]


def said(answer: Any) -> set[str | None]:
    """The words of every error in an answer; None stands for whatever was no refusal."""
    if isinstance(answer, dict) and isinstance(answer.get("error"), str):
        return {answer["error"]}
    if isinstance(answer, dict):
        return {words for part in answer.values() for words in said(part)}
    if isinstance(answer, list):  # of rows, what became of each at its end
        return {words for row in answer for words in said([*row.values()][-1])}
    return {None}


class Mistake(msgspec.Struct, frozen=True):
    action: str
    field: str
    name: str
    pairs: list[tuple[str, str]]

    @property
    def words(self) -> str:
        return WORDS.get(self.field, f"Incorrect {self.field}")


def mistakes(good: Mapping[str, str]) -> Iterator[Mistake]:
    """The call with each of its fields wrong in every way that is wrong for it."""
    action = good["action"]
    for field, right in good.items():
        if field == "google_keyword" and good["type_of_traffic"] != "1":
            continue  # left unread
        rest = [(other, value) for other, value in good.items() if other != field]
        for name, bad in WRONG[field].items():
            yield Mistake(action, field, name, rest if bad is None else [*rest, (field, bad)])
        if field not in REPEATED:
            yield Mistake(action, field, "twice", [*good.items(), (field, right + "0")])


async def test_whatever_is_wrong_is_refused_in_words_and_changes_nothing(shop: Shop) -> None:
    order = await shop.completed()
    before, sent = shop.rows(), shop.asked()
    tried: list[tuple[str, str, str]] = []
    for call in calls(order, 999):
        for mistake in mistakes({"key": shop.selling.key, **call}):
            once = (mistake.action, mistake.field, mistake.name)
            if once in tried and (mistake.field in {"key", "action", "service"} or mistake.name == "huge"):
                continue  # the same for every type
            tried.append(once)
            answer = await shop.send(mistake.pairs)
            assert said(answer) == {mistake.words}, (*once, answer)
    assert shop.rows() == before
    assert shop.asked() == sent, "a panel was asked"
    assert {field for _, field, _ in tried} == set(WRONG)
    assert {action for action, _, _ in tried} == set(ACTIONS)
    assert len(tried) > 1_000


@pytest.mark.parametrize(
    ("pairs", "words"),
    [
        ([("link", "x" * 300_000)], "Incorrect request: larger than 256 KiB"),
        ([(f"f{number}", "1") for number in range(70)], "Incorrect request: more than 64 fields"),
        ([("quantity", "20"), ("quantity", "30")], "Incorrect quantity"),
    ],
)
async def test_a_form_out_of_bounds_is_refused(shop: Shop, pairs: list[tuple[str, str]], words: str) -> None:
    before = shop.rows()
    good = {"key": shop.selling.key, "action": "add", "service": "1", "link": wares.LINK, "quantity": "20"}
    kept = [(name, value) for name, value in good.items() if name not in dict(pairs)]
    assert await shop.send([*kept, *pairs]) == {"error": words}
    assert shop.rows() == before
