"""Rows that move too far wait until people have looked; all others pass; and real lists are let through."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.catalog.moves import Change, is_heading, is_off, moved, weighed
from providers.base import RemoteService
from tests.test_catalog.fakes import row

CATALOGUES = Path(__file__).parent.parent.parent.parent / "shared" / "catalogs"
MOVE = Decimal(1)


def by_id(*rows: RemoteService) -> dict[str, RemoteService]:
    return {one.remote_service: one for one in rows}


def bold(text: str) -> str:
    """In the letters that panels like: mathematical, and not what they look like."""
    return "".join(chr(ord(c) - ord("a") + 0x1D41A) if c.islower() else c for c in text)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"rate": Decimal("1.99")}, None),
        ({"rate": Decimal("2.01")}, "its rate was 1.00 and is 2.01"),
        ({"rate": Decimal("0.51")}, None),
        ({"rate": Decimal("0.49")}, "its rate was 1.00 and is 0.49"),
        ({"rate": Decimal(0)}, None),
        ({"rate": Decimal("9999999999999.00")}, None),
        ({"type": "Package"}, 'its type was "Default" and is "Package"'),
        ({"name": "Instagram Likes [cheap]"}, None),
        ({"name": bold("Instagram Likes")}, None),
        ({"name": "Telegram Premium Members"}, "it is another service: it was"),
        ({"name": "Instagram Followers"}, "it is another service: it was"),
        ({"name": "TikTok Likes"}, "it is another service: it was"),
        ({"name": "Instagram Likes + Views"}, None),
        ({"name": "IG Likes | Instagram [30 days refill]"}, None),
        ({"min": 5000, "max": 9000}, "its limits were 10..1000 and are 5000..9000"),
        ({"min": 500, "max": 100_000}, None),
        ({"category": "Elsewhere", "description": "x", "refill": True, "cancel": True}, None),
    ],
)
def test_a_row_that_moved_too_far_says_why(change: dict[str, Any], why: str | None) -> None:
    was = row("1", name="Instagram Likes", rate=Decimal(1))
    told = moved(was, msgspec.structs.replace(was, **change), MOVE)
    assert told is None if why is None else told is not None and told.startswith(why)


def test_a_service_that_was_off_comes_back_at_a_price_near_the_one_it_had() -> None:
    off, first = row("1", rate=Decimal("9999999999999.00")), row("1", rate=Decimal(2))
    assert is_off(off)
    assert moved(off, row("1", rate=Decimal(5)), MOVE) is None, "nobody knows what it was"
    assert moved(off, row("1", rate=Decimal(3)), MOVE, first) is None
    assert moved(off, row("1", rate=Decimal(5)), MOVE, first) == "its rate was 2.00 and is 5.00"


def test_a_service_that_was_not_listed_for_a_while_is_the_one_that_it_was() -> None:
    other, first = row("2"), row("1", rate=Decimal(2))
    now = row("1", rate=Decimal(5))
    back = weighed(by_id(other), [other, now], move=MOVE, approved={}, since={"1": first})
    assert (back.rows, [held.row for held in back.held]) == ((other, first), [now])
    assert back.changes == (Change(remote_service="1", now=first),)
    near = row("1", rate=Decimal(3))
    assert weighed(by_id(other), [other, near], move=MOVE, approved={}, since={"1": first}).rows == (other, near)
    assert weighed({}, [now], move=MOVE, approved={}, since={"1": first}).rows == (now,), "with no list, all is new"


def test_many_small_steps_are_a_large_one() -> None:
    first = row("1", rate=Decimal(1))
    was = row("1", rate=Decimal("1.9"))
    now = row("1", rate=Decimal("2.5"))
    assert moved(was, now, MOVE) is None
    assert moved(was, now, MOVE, first) == "its rate was 1.00 and is 2.50"
    assert weighed(by_id(was), [now], move=MOVE, approved={}, since={"1": first}).held
    assert not weighed(by_id(was), [now], move=MOVE, approved={}, since={"2": first}).held


def test_what_waits_stays_in_use_as_it_was_and_comes_back_by_itself() -> None:
    was, dear = row("1", rate=Decimal(1)), row("1", rate=Decimal(5))
    first = weighed(by_id(was), [dear], move=MOVE, approved={})
    assert (first.rows, [held.row for held in first.held], first.changes) == ((was,), [dear], ())
    again = weighed(by_id(*first.rows), [was], move=MOVE, approved={})
    assert (again.rows, again.held) == ((was,), ())


def test_what_people_said_yes_to_is_taken_as_it_is_and_not_as_it_becomes() -> None:
    was, dear, dearer = (row("1", rate=Decimal(rate)) for rate in (1, 5, 50))
    taken = weighed(by_id(was), [dear], move=MOVE, approved=by_id(dear))
    assert (taken.rows, taken.held) == ((dear,), ())
    assert taken.changes == (Change(remote_service="1", was=was, now=dear),)
    assert weighed(by_id(was), [dearer], move=MOVE, approved=by_id(dear)).held[0].row == dearer


def test_rows_come_and_go_and_the_first_of_two_with_one_id_counts() -> None:
    one, two, three = row("1"), row("2"), row("3")
    found = weighed(by_id(one, two), [one, three, row("3", rate=Decimal(9))], move=MOVE, approved={})
    assert found.rows == (one, three)
    assert found.changes == (Change(remote_service="3", now=three), Change(remote_service="2", was=two))


def test_a_first_list_is_taken_as_it_is_and_is_no_change() -> None:
    found = weighed({}, [row("1"), row("2")], move=Decimal(0), approved={})
    assert (len(found.rows), found.held, found.changes) == (2, (), ())


@pytest.mark.parametrize(
    ("name", "heading"), [("▬▬▬▬▬", True), ("❖ ❖", True), ("Likes", False), (bold("Likes"), False), ("赞", False)]
)
def test_a_heading_is_told_from_a_service(name: str, heading: bool) -> None:
    assert is_heading(row("1", name=name)) is heading


# Real lists as they changed.

real = pytest.mark.skipif(not CATALOGUES.is_dir(), reason=f"real catalogues are not part of the project: {CATALOGUES}")


def read(told: dict[str, Any]) -> RemoteService:
    return RemoteService(
        remote_service=str(told["service"]),
        name=str(told["name"]),
        type=str(told.get("type", "Default")),
        category=str(told.get("category", "")),
        rate=Decimal(str(told["rate"])),
        min=int(told["min"]),
        max=int(told["max"]),
    )


@real
def test_the_steps_of_a_real_list_pass_but_for_what_moved_too_far() -> None:
    told = {str(one["service"]): one for one in json.loads((CATALOGUES / "smmstore-2023-11-09.json").read_text())}
    rows = {id: read(one) for id, one in told.items()}
    waited, changed = 0, 0
    for step in json.loads((CATALOGUES / "smmstore-deltas.json").read_text()):
        for id in step["removed"]:
            told.pop(id, None)
        told |= {str(one["service"]): one for one in step["added"]}
        for one in step["changed"]:
            if str(one["service"]) in told:
                told[str(one["service"])] |= {word: pair[1] for word, pair in one.items() if word != "service"}
        found = weighed(rows, [read(one) for one in told.values()], move=MOVE, approved={})
        before, rows = rows, by_id(*found.rows)
        fresh = {held.row.remote_service: held.row for held in found.held}
        waited += len(fresh)
        changed += len(found.changes)
        for change in found.changes:
            if change.was and change.now and not (is_off(change.was) or is_off(change.now)):
                assert change.was.rate / 2 <= change.now.rate <= change.was.rate * 2, "no greater move passes"
                assert change.was.type == change.now.type
        assert all(rows[id] == before[id] for id in fresh), "what waits stays as it was"
        rows |= fresh  # people say yes to it
    assert changed > 1000
    assert 0 < waited < changed / 4, f"{waited} waited, {changed} passed"


@real
def test_three_weeks_of_a_real_list_at_once_name_what_moved_too_far() -> None:
    was, now = (
        by_id(*(read(one) for one in json.loads((CATALOGUES / name).read_text())))
        for name in ("vexboost-2026-03-12.json", "vexboost.json")
    )
    found = weighed(was, tuple(now.values()), move=MOVE, approved={})
    assert {held.row.remote_service for held in found.held} == {
        id for id in was.keys() & now.keys() if was[id] != now[id] and moved(was[id], now[id], MOVE)
    }
    assert len(found.rows) == len(now)
    everything = weighed(was, tuple(now.values()), move=Decimal("Infinity"), approved={})
    assert len(everything.held) <= len(found.held)
