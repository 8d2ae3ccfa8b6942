"""How often a panel is called: windows, waiting, and a no that comes before anything is sent. No clock runs here."""

import asyncio
import time

import pytest

from providers.errors import Full
from providers.pace import Pace, Rate, rate

pytestmark = pytest.mark.anyio


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1_000_000.0
        self.naps: list[float] = []
        monkeypatch.setattr(time, "time", lambda: self.now)  # what the library reads

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.naps.append(seconds)
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def paced(text: str, clock: Clock, *, wait_s: float = 5.0) -> Pace:
    return Rate(text, wait_s=wait_s, clock=clock, sleep=clock.sleep)


async def test_calls_within_the_rate_do_not_wait(clock: Clock) -> None:
    pace = paced("3/min", clock)
    for _ in range(3):
        await pace.admit("alpha", "add")
    assert clock.naps == []


async def test_the_next_call_waits_for_the_oldest_to_leave_the_window(clock: Clock) -> None:
    pace = paced("2/s", clock)
    await pace.admit("alpha", "add")
    clock.now += 0.4
    await pace.admit("alpha", "add")
    await pace.admit("alpha", "add")
    assert clock.naps == pytest.approx([0.601])


async def test_no_window_holds_more_than_the_rate(clock: Clock) -> None:
    pace = paced("5/s", clock, wait_s=60)
    times = []
    for _ in range(40):
        await pace.admit("alpha", "status")
        times.append(clock.now)
    assert all(later - earlier > 1 for earlier, later in zip(times, times[5:], strict=False))


async def test_a_call_whose_turn_comes_too_late_is_not_sent(clock: Clock) -> None:
    pace = paced("1/min", clock)
    await pace.admit("alpha", "add")
    with pytest.raises(Full, match="alpha: add: no turn within 5 s at 1 per 1 minute"):
        await pace.admit("alpha", "add")
    assert clock.naps == []  # known at once: nobody waits in vain


async def test_panels_do_not_share_their_turns(clock: Clock) -> None:
    pace = paced("1/min", clock)
    await pace.admit("alpha", "add")
    await pace.admit("beta", "add")
    assert clock.naps == []


async def test_a_clock_that_jumps_back_sends_nothing_too_many(clock: Clock) -> None:
    pace = paced("1/min", clock)
    await pace.admit("alpha", "add")
    clock.now -= 3600
    with pytest.raises(Full):
        await pace.admit("alpha", "add")


@pytest.mark.parametrize(
    ("text", "calls", "seconds"),
    [("60/min", 60, 60), ("2/s", 2, 1), ("100/5min", 100, 300), ("10 / hour", 10, 3600), ("5/day", 5, 86400)],
)
def test_rates_are_read_as_people_write_them(text: str, calls: int, seconds: int) -> None:
    assert (rate(text).amount, rate(text).get_expiry()) == (calls, seconds)


@pytest.mark.parametrize("text", ["", "60", "0/min", "-1/min", "60/fortnight", "60/min; 1/s", "1.5/s"])
def test_what_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a rate such as 60/min"):
        rate(text)


async def test_questions_leave_a_quarter_of_the_window_to_orders(clock: Clock) -> None:
    pace = paced("8/min", clock)
    for _ in range(6):
        await pace.admit("alpha", "status")
    with pytest.raises(Full):
        await pace.admit("alpha", "status")
    for _ in range(2):
        await pace.admit("alpha", "add")
    with pytest.raises(Full):
        await pace.admit("alpha", "add")
    assert clock.naps == []


async def test_orders_may_take_the_whole_window(clock: Clock) -> None:
    pace = paced("4/min", clock)
    for _ in range(4):
        await pace.admit("alpha", "add")
    with pytest.raises(Full):
        await pace.admit("alpha", "status")


async def test_an_order_that_waits_goes_before_questions_that_wait(clock: Clock) -> None:
    turns: list[str] = []
    sleepers: list[tuple[float, asyncio.Event]] = []

    async def sleep(seconds: float) -> None:
        sleepers.append((clock.now + seconds, asyncio.Event()))
        await sleepers[-1][1].wait()

    pace = Rate("1/s", wait_s=60, clock=clock, sleep=sleep)

    async def call(action: str) -> None:
        await pace.admit("alpha", action)
        turns.append(action)

    async with asyncio.TaskGroup() as tasks:
        for action in ("status", "status", "status", "add", "add"):
            tasks.create_task(call(action))
            await asyncio.sleep(0.001)
        while len(turns) < 5:
            clock.now = max(clock.now, min(due for due, _ in sleepers))
            woken = [sleeper for sleeper in sleepers if sleeper[0] <= clock.now]
            sleepers[:] = [sleeper for sleeper in sleepers if sleeper[0] > clock.now]
            for _, event in woken:
                event.set()
                await asyncio.sleep(0.001)
    assert turns == ["status", "add", "add", "status", "status"]
