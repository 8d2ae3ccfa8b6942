"""The door's parts, without a wire: who calls, how often, with which keys, who gives way, and how far behind we are."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from gateway.door import SHEDS, SPARES, Door, Pulse, Strain
from gateway.door.callers import Callers
from gateway.door.crowd import Crowd, Seat, State
from gateway.door.rates import Guesses, Rates
from gateway.errors import TooMany, TooManyWrong
from gateway.metrics import Metrics
from gateway.settings import networks

pytestmark = pytest.mark.anyio

# Who calls


def scope(peer: str | None, *named: str) -> dict[str, Any]:
    headers = [(b"host", b"x"), *((b"x-forwarded-for", name.encode("latin-1")) for name in named)]
    return {"client": None if peer is None else (peer, 4711), "headers": headers}


@pytest.mark.parametrize(
    ("peer", "named", "address"),
    [
        ("203.0.113.9", (), "203.0.113.9"),
        ("203.0.113.9", ("10.0.0.1",), "203.0.113.9"),  # a stranger's word
        ("127.0.0.1", (), "127.0.0.1"),
        ("127.0.0.1", ("203.0.113.9",), "203.0.113.9"),
        ("10.0.0.1", ("203.0.113.9",), "203.0.113.9"),
        ("::ffff:10.0.0.1", ("203.0.113.9",), "203.0.113.9"),
        ("10.0.0.1", ("198.51.100.1, 203.0.113.9",), "203.0.113.9"),  # what the customer sent stands before it
        ("10.0.0.1", ("127.0.0.1, 203.0.113.9",), "203.0.113.9"),
        ("10.0.0.1", ("203.0.113.9, 10.0.0.2",), "203.0.113.9"),  # two of ours
        ("10.0.0.1", ("198.51.100.1", "203.0.113.9"), "203.0.113.9"),  # two headers are one list
        ("10.0.0.1", ("203.0.113.9:4711",), "203.0.113.9"),
        ("10.0.0.1", ("[2001:db8::5]:4711",), "2001:db8::5"),
        ("10.0.0.1", ("2001:db8::5",), "2001:db8::5"),
        ("10.0.0.1", ("unknown",), "10.0.0.1"),
        ("10.0.0.1", ("203.0.113.9, unknown",), "10.0.0.1"),
        ("10.0.0.1", ("203.0.113.9, nobody, 10.0.0.2",), "10.0.0.2"),
        ("10.0.0.1", ("",), "10.0.0.1"),
        ("10.0.0.1", ("9" * 100_000,), "10.0.0.1"),
        ("10.0.0.1", ("10.0.0.3, 10.0.0.2",), "10.0.0.3"),
        (None, (), ""),
        (None, ("203.0.113.9",), ""),
    ],
)
def test_only_proxies_of_ours_are_believed_who_called_them(
    peer: str | None, named: Sequence[str], address: str
) -> None:
    callers = Callers(networks("127.0.0.1, 10.0.0.0/24, ::1"))
    assert callers.caller(scope(peer, *named)).address == address


def test_neighbours_in_one_ipv6_site_are_one_caller_and_others_are_not() -> None:
    callers = Callers(())
    one, two, far = (callers.of(address).site for address in ("2001:db8::1", "2001:db8::ffff:2", "2001:db8:0:1::1"))
    assert one == two != far
    assert callers.of("203.0.113.9").site != callers.of("203.0.113.10").site


# How often


def test_a_rate_lets_a_burst_through_and_then_so_many_a_second() -> None:
    rates = Rates(8, burst_s=2.0)
    assert sum(rates.hit("a", 0.0) for _ in range(100)) == 17
    assert sum(rates.hit("a", 1.0) for _ in range(100)) == 8
    assert sum(rates.hit("a", 100.0) for _ in range(100)) == 17
    assert rates.hit("b", 0.0)


def test_no_rate_is_any() -> None:
    rates = Rates(0)
    assert all(rates.hit("a", 0.0) for _ in range(10_000))


def test_rates_keep_a_bounded_number_of_callers() -> None:
    rates = Rates(1, burst_s=0.5, most=100)
    for number in range(1_000):
        assert rates.hit(number, 0.0)
        assert len(rates._paid_until) <= 100
    assert not rates.hit(999, 0.0), "those that came last are still known"
    assert rates.hit("new", 1_000.0)
    assert len(rates._paid_until) == 1, "those that rest are forgotten"


# Wrong keys


def guesses_in(seconds: float, *, a_second: float, guesses: Guesses) -> int:
    """How many of so many guesses were looked at."""
    looked = 0
    for number in range(int(seconds * a_second)):
        now = number / a_second
        if not guesses.cut("a", now):
            looked += 1
            guesses.wrong("a", now)
    return looked


def test_ten_thousand_guesses_are_cut_to_a_hundredth() -> None:
    assert guesses_in(60, a_second=200, guesses=Guesses()) <= 100


def test_a_day_of_guesses_comes_to_a_few_a_minute() -> None:
    assert guesses_in(86_400, a_second=2, guesses=Guesses()) <= 86_400 / 60


def test_a_slip_now_and_then_is_never_cut() -> None:
    assert guesses_in(3_600, a_second=0.3, guesses=Guesses()) == 1_080


def test_each_cut_lasts_twice_as_long_up_to_a_bound_and_is_forgiven_after_a_while() -> None:
    guesses, now, cuts = Guesses(cut_s=4, cut_most_s=60, forget_s=900), 0.0, []
    for _ in range(7):
        while not (cut_s := guesses.wrong("a", now)):
            pass
        cuts.append(cut_s)
        assert guesses.cut("a", now + cut_s - 0.1)
        assert not guesses.cut("b", now)
        now += cut_s
        assert not guesses.cut("a", now)
    assert cuts == [4, 8, 16, 32, 60, 60, 60]
    now += 2_000
    while not (cut_s := guesses.wrong("a", now)):
        pass
    assert cut_s == 4


def test_wrong_keys_that_were_on_their_way_when_the_cut_came_make_it_no_longer() -> None:
    guesses = Guesses()
    while not (cut_s := guesses.wrong("a", 0.0)):
        pass
    assert [guesses.wrong("a", 0.1) for _ in range(100)] == [0.0] * 100
    assert not guesses.cut("a", cut_s)


def test_a_bounded_number_of_sites_is_remembered_those_that_were_wrong_last() -> None:
    guesses = Guesses(most=100)
    while not guesses.wrong("a", 0.0):
        pass
    for number in range(99):
        guesses.wrong(str(number), 0.0)
    assert guesses.cut("a", 1.0)
    guesses.wrong("one more", 0.0)
    assert not guesses.cut("a", 1.0)
    assert len(guesses._sites) == 100


def ticking() -> tuple[Door, list[float]]:
    now = [0.0]
    return Door(Metrics(), clock=lambda: now[0], key_rate=8, address_rate=64), now


def test_a_key_that_was_right_of_late_does_not_pay_for_its_neighbour() -> None:
    door, now = ticking()
    caller = door.callers.of("203.0.113.9")
    assert not door.knocks(caller, "good")
    door.right("good")
    for number in range(30):
        door.wrong(caller, f"wrong {number}")
    with pytest.raises(TooManyWrong):
        door.knocks(caller, "wrong")
    assert door.knocks(caller, "good")
    door.wrong(caller, "good")  # it was revoked
    with pytest.raises(TooManyWrong):
        door.knocks(caller, "good")
    now[0] = 4.0
    assert not door.knocks(caller, "good")


def test_a_key_and_an_address_call_as_often_as_they_may() -> None:
    door, now = ticking()
    near, far = (Door(Metrics(), proxies=networks("127.0.0.1")).callers.of(one) for one in ("127.0.0.1", "203.0.113.9"))
    door.right("good")
    assert sum(_passes(door, near, "good") for _ in range(1_000)) == 81
    assert sum(_passes(door, near, "other") for _ in range(1_000)) == 1_000, "a proxy's calls are not one customer's"
    assert sum(_passes(door, far, "other") for _ in range(1_000)) == 641
    now[0] = 1.0
    assert sum(_passes(door, near, "good") for _ in range(1_000)) == 8


def _passes(door: Door, caller: Any, key: str) -> bool:
    try:
        door.knocks(caller, key)
    except TooMany:
        return False
    return True


async def test_unknown_keys_of_one_address_wait_behind_those_of_others() -> None:
    door, _ = ticking()
    flood, shop = door.callers.of("203.0.113.9"), door.callers.of("203.0.113.10")
    asked = [asyncio.create_task(door.looks_up(flood, f"wrong {number}")) for number in range(40)]
    await asyncio.sleep(0)
    assert await door.looks_up(shop, "good")
    assert sum(task.done() for task in asked) == 8
    for _ in range(30):
        door.wrong(flood, "wrong")
    for number in range(8):
        door.looked_up(flood, f"wrong {number}")
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(answer) for answer in answers] == [bool] * 8 + [TooManyWrong] * 32, "cut while they waited"
    assert door.knocks(shop, "good") is False


@pytest.mark.parametrize("right", [True, False])
async def test_a_new_key_that_calls_many_times_at_once_is_looked_up_once(right: bool) -> None:
    door, _ = ticking()
    shop = door.callers.of("203.0.113.10")
    assert await door.looks_up(shop, "new")
    asked = [asyncio.create_task(door.looks_up(shop, "new")) for _ in range(100)]
    for _ in range(5):
        await asyncio.sleep(0)
    assert not any(task.done() for task in asked)
    if right:
        door.right("new")
    door.looked_up(shop, "new")
    for _ in range(5):
        await asyncio.sleep(0)
    assert [task.result() for task in asked if task.done()] == ([False] * 100 if right else [True] * 8)
    for task in asked:
        task.cancel()
    await asyncio.gather(*asked, return_exceptions=True)


# Connections


class Connections:
    """A crowd and who was cut."""

    def __init__(self, **bounds: int) -> None:
        self.now = 0.0
        self.crowd = Crowd(Metrics(), clock=lambda: self.now, **bounds)
        self.cut: list[str] = []

    def come(self, name: str, state: State = "resting", *, site: str | None = "a") -> Seat | None:
        seat = self.crowd.come(site, lambda: self.cut.append(name))
        if seat is not None:
            self.crowd.turn(seat, state)
        return seat


def test_those_that_rest_give_way_first_and_the_longest_of_them() -> None:
    house = Connections(most=4)
    house.come("first", "working")
    house.come("second", "arriving")
    rested = house.come("third")
    house.come("fourth")
    assert rested is not None
    house.crowd.turn(rested, "working")
    house.crowd.turn(rested, "resting")  # it has just been answered
    for name in ("fifth", "sixth", "seventh"):
        assert house.come(name, "working") is not None
    assert house.cut == ["fourth", "third", "second"]
    assert house.come("eighth") is None, "whoever is being answered loses nothing"
    assert len(house.crowd) == 4


def test_a_request_that_is_slow_gives_way_before_a_connection_that_rests() -> None:
    house = Connections(most=3)
    house.come("slow", "arriving")
    house.come("resting")
    late = house.come("resting, then slow")
    assert late is not None
    house.now = 100.0
    house.crowd.turn(late, "arriving")
    house.come("first", "working")
    assert house.cut == ["slow"]
    house.come("second", "working")
    assert house.cut == ["slow", "resting"], "the other one began a moment ago"
    house.now = 103.0
    house.come("third", "working")
    assert house.cut == ["slow", "resting", "resting, then slow"]


def test_one_address_fills_its_own_room_and_no_more() -> None:
    house = Connections(most=100, most_each=3)
    for number in range(50):
        house.come(f"a{number}", "arriving", site="a")
    assert house.cut == [f"a{number}" for number in range(47)]
    assert all(house.come(f"b{number}", "working", site="b") for number in range(3))
    assert house.come("b4", site="b") is None
    assert all(house.come(f"proxy{number}", "working", site=None) for number in range(20)), "a proxy has many customers"


def test_what_is_held_of_unfinished_requests_is_bounded() -> None:
    house = Connections(all_bytes=1_000, each_bytes=600)
    seats = {site: house.come(site, "arriving", site=site) for site in "abc"}
    for site in "ab":
        house.crowd.hold(_there(seats[site]), 500)
    house.crowd.hold(_there(seats["c"]), 10)
    assert house.cut == ["a"], "the oldest, not the one that came with a little"
    assert house.crowd.held == 510
    house.crowd.hold(_there(seats["b"]), 601)
    assert house.cut == ["a", "b"]
    house.crowd.hold(_there(seats["c"]), 0)
    for seat in seats.values():
        house.crowd.leave(_there(seat))
        house.crowd.leave(_there(seat))
    assert (house.crowd.held, len(house.crowd), house.crowd._sites) == (0, 0, {})


def _there(seat: Seat | None) -> Seat:
    assert seat is not None
    return seat


# How far behind


def test_a_moment_sheds_nothing_and_what_stands_does() -> None:
    strain = Strain(1.0)
    for lag in (5.0, 5.0, 0.0, 5.0, 5.0):
        strain.lagged(lag)
        assert strain.level(0.0) == 0
    strain.lagged(1.2)
    assert (strain.level(0.0), strain.behind_s(0.0)) == (SHEDS, 1.2)
    strain.lagged(0.0)
    assert strain.level(0.0) == 0


def test_a_write_that_is_not_over_counts_at_once_and_loop_and_ledger_add_up() -> None:
    strain = Strain(1.0)
    strain.writes(10.0)
    assert [strain.level(now) for now in (10.9, 11.0, 12.0)] == [0, SHEDS, SPARES]
    strain.wrote(12.0)
    assert strain.level(12.0) == 0, "it was one"
    for start in (12.0, 14.0, 16.0):
        strain.writes(start)
        strain.wrote(start + 0.6)
        strain.lagged(0.5)
    assert strain.behind_s(20.0) == pytest.approx(1.1)


async def test_the_pulse_tells_how_late_the_loop_is_and_how_long_the_ledger_takes() -> None:
    now, strain, metrics = [0.0], Strain(1.0), Metrics()
    ledger = asyncio.Event()

    async def sleep(seconds: float) -> None:
        now[0] += seconds + 0.4  # the loop comes late
        await asyncio.sleep(0)

    pulse = Pulse(strain, ledger.wait, metrics, clock=lambda: now[0], sleep=sleep)
    pulse.start()
    for _ in range(10):
        await asyncio.sleep(0)
    assert strain.behind_s(now[0]) == pytest.approx(now[0] - 0.65 + 0.4), "the first write is not over yet"
    ledger.set()
    for _ in range(10):
        await asyncio.sleep(0)
    assert 0.39 < strain.behind_s(now[0]) < 1.1, "it is over, and the loop is late as before"
    await pulse.stop()
    assert b"panelmux_edge_behind_seconds" in metrics.text()
