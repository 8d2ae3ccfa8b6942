"""One order, whole or in two parts, two panels, at most two attempts; it may wait for money; a crash and a late
delivery at every step. All states, no sampling.

What the gateway does with the ledger are the real functions: `life.begun`, `life.after`, `failover.following` over the
errors that providers raise. The world around it is modelled: letters fly, arrive late or never, panels act or refuse,
answers get lost, the process dies and comes back. `Policy` has the gateway's decisions, each of which can be broken.
"""

from collections import deque
from collections.abc import Iterator
from decimal import Decimal
from typing import Final

import msgspec

from gateway import failover
from gateway.ledger import life
from gateway.ledger.delivery import Unclear
from gateway.ledger.life import Begun, GivenUp, Life, Observed, PassedOn, Recovered, Sent, Settled, Word, rest_of
from gateway.ledger.records import (
    Accepted,
    AttemptState,
    Fail,
    NotPlaced,
    NotSent,
    Outcome,
    Refused,
    Unknown,
    Untracked,
)
from gateway.money import STEP
from providers import errors
from providers.base import FINISHED, OrderStatus, Status
from providers.errors import ProviderError, Reason

PANELS: Final = ("alpha", "beta")
UNITS: Final = 10
PART: Final = 6
ANSWERS: Final[dict[str, ProviderError]] = {
    "unsent": errors.Unsent("refused", panel="alpha", action="add"),
    "refused": errors.Refused("no funds", Reason.FUNDS, panel="alpha", action="add"),
    "refused for good": errors.Refused("bad link", Reason.LINK, panel="alpha", action="add"),
    "unanswered": errors.Unanswered("reset", panel="alpha", action="add"),
}


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """What the gateway decides. The defaults are what it does; each field is one way to do it wrong."""

    writes_first: bool = True
    timeout_is_no: bool = False
    retries_timeouts: bool = False
    recovery_sends_again: bool = False
    waits_to_settle: bool = True
    replays_spill: bool = True
    tells_passed_on: bool = True
    waits_for_nobody: bool = True
    sends_once: bool = True
    hears_late: bool = True


class State(msgspec.Struct, frozen=True, kw_only=True):
    """Everything there is.

    Attributes:
        kept: the order in the ledger; None = not written.
        memory: of the process: the attempt and where it stands; "" = nothing under way; None = it is dead.
        flying, acted: letters on their way and purchases, by attempt.
        spilled: attempts whose id is kept beside the ledger.
        settled: attempts that can arrive no more.
        ended: attempts whose panel ended them early: the rest may be bought again.
        made: units delivered by the panels' last words, by attempt.
        late: attempts of which their panel gave something back after all.
    """

    kept: Life | None = None
    memory: tuple[int, str] | str | None = ""
    flying: tuple[int, int] = (0, 0)
    acted: tuple[int, int] = (0, 0)
    refused: frozenset[int] = frozenset()
    spilled: frozenset[int] = frozenset()
    settled: frozenset[int] = frozenset()
    ended: frozenset[int] = frozenset()
    made: tuple[int, int] = (0, 0)
    late: frozenset[int] = frozenset()
    forgotten: int = 0


Step = tuple[str, State]


def explore(policy: Policy) -> tuple[int, int, list[tuple[str, tuple[str, ...]]]]:
    """All states reached, all steps, and what is wrong with the way that leads there."""
    start = State()
    came: dict[State, tuple[State, str] | None] = {start: None}
    edges: dict[State, list[State]] = {}
    wrong: list[tuple[str, tuple[str, ...]]] = []
    line = deque([start])
    while line:
        state = line.popleft()
        if (why := bad(state)) is not None:
            wrong.append((why, _way(came, state)))
            edges[state] = []
            continue
        edges[state] = []
        for name, following in steps(state, policy):
            edges[state].append(following)
            if following not in came:
                came[following] = (state, name)
                line.append(following)
    wrong += [("stuck: it never ends", _way(came, state)) for state in _stuck(edges)]
    return len(came), sum(map(len, edges.values())), wrong


def bad(state: State) -> str | None:
    """What must never be."""
    purchases = [number + 1 for number in (0, 1) if state.acted[number]]
    if max(state.acted) > 1 or state.forgotten + bool(purchases) > 1:
        return "bought twice"
    if len([attempt for attempt in purchases if attempt not in state.ended]) > 1:
        return "bought twice"
    kept = state.kept
    if kept is None:
        return None
    if sum(one.live for one in kept.tries) > 1:
        return "two live attempts"
    if not 0 <= kept.refunded <= kept.charge:
        return "more given back than taken"
    for one in kept.tries:
        acted = state.acted[one.id - 1]
        if one.state in {AttemptState.NOT_PLACED, AttemptState.REFUSED, AttemptState.NOT_SENT} and acted:
            return f"{one.state.value}, and bought"
        if one.state in life.BOUGHT and not acted:
            return f"{one.state.value}, and not bought"
    tracked = all(one.state not in {AttemptState.UNTRACKED, *life.OPEN} for one in kept.tries)
    if _ended(state) and tracked and (kept.charge - kept.refunded - STEP) * kept.units > kept.charge * sum(state.made):
        return "charged for more than was made"
    if _ended(state) and purchases and kept.charge == 0:
        return "bought, and charged nothing"
    if _ended(state) and not purchases and kept.charge - kept.refunded != 0:
        return "charged, and not bought"
    return None


def steps(state: State, policy: Policy) -> Iterator[Step]:
    """All that may happen next."""
    yield from _world(state)
    if state.memory is None:
        yield "start", _started(state, policy)
        return
    if state.memory:
        yield "crash", msgspec.structs.replace(state, memory=None)
    yield from _gateway(state, policy)


def _world(state: State) -> Iterator[Step]:
    for number in (0, 1):
        attempt = number + 1
        if state.flying[number]:
            gone = _at(state.flying, number, -1)
            acts = _at(state.acted, number, 1)
            yield f"panel {attempt} takes it", msgspec.structs.replace(state, flying=gone, acted=acts)
            yield f"letter {attempt} is lost", msgspec.structs.replace(state, flying=gone)
            if not state.acted[number]:
                no = state.refused | {attempt}
                yield f"panel {attempt} refuses", msgspec.structs.replace(state, flying=gone, refused=no)
        elif state.kept is not None and attempt not in state.settled and len(state.kept.tries) >= attempt:
            waits = isinstance(state.memory, tuple) and state.memory[0] == attempt
            if not waits:  # time passes: what it sent, it sent long ago
                yield f"{attempt} settles", msgspec.structs.replace(state, settled=state.settled | {attempt})


def _gateway(state: State, policy: Policy) -> Iterator[Step]:
    match state.memory:
        case "":
            if state.kept is None:
                yield from _begin(state, policy)
            else:
                yield from _looks(state, policy)
                yield from _statuses(state, policy)
                yield from _waits(state, policy)
        case (attempt, "written"):
            number = attempt - 1
            flies = msgspec.structs.replace(state, flying=_at(state.flying, number, 1), memory=(attempt, "sent"))
            if state.flying[number] + state.acted[number] < 2:  # what is wrong is wrong by then
                yield f"send {attempt}", flies
            yield f"{attempt} cannot be sent", msgspec.structs.replace(state, memory=(attempt, "unsent"))
        case (attempt, "sent"):
            yield from _answers(state, attempt, policy)
        case (attempt, answer):
            yield from _writes(state, attempt, answer, policy)


def _begin(state: State, policy: Policy) -> Iterator[Step]:
    word = Begun(type="Default", quantity=UNITS, units=UNITS, charge=Decimal(1), attempt=1, panel=PANELS[0])
    kept = life.begun(word)
    if policy.writes_first:
        part = life.begun(msgspec.structs.replace(word, part=PART))
        waits = life.begun(msgspec.structs.replace(word, attempt=None, panel=""))
        yield "write", msgspec.structs.replace(state, kept=kept, memory=(1, "written"))
        yield "write a part", msgspec.structs.replace(state, kept=part, memory=(1, "written"))
        yield "write, to wait", msgspec.structs.replace(state, kept=waits)
    else:
        flies = msgspec.structs.replace(state, flying=_at(state.flying, 0, 1), memory=(1, "sent"))
        yield "send before writing", flies


def _answers(state: State, attempt: int, policy: Policy) -> Iterator[Step]:
    if state.acted[attempt - 1]:
        yield f"answer {attempt}: taken", msgspec.structs.replace(state, memory=(attempt, "taken"))
    elif attempt in state.refused:
        for answer in ("refused", "refused for good"):
            yield f"answer {attempt}: {answer}", msgspec.structs.replace(state, memory=(attempt, answer))
    if policy.retries_timeouts:
        again = _at(state.flying, attempt - 1, 1)
        if max(again) < 3:
            yield f"answer {attempt}: none, sent again", msgspec.structs.replace(state, flying=again)
    yield f"answer {attempt}: none", msgspec.structs.replace(state, memory=(attempt, "unanswered"))


def _writes(state: State, attempt: int, answer: str, policy: Policy) -> Iterator[Step]:
    if state.kept is None:  # only where nothing was written first
        word = Begun(type="Default", quantity=UNITS, units=UNITS, charge=Decimal(1), attempt=1, panel=PANELS[0])
        state = msgspec.structs.replace(state, kept=life.begun(word))
    if answer == "taken":
        if attempt not in state.spilled:
            yield f"keep id {attempt} aside", msgspec.structs.replace(state, spilled=state.spilled | {attempt})
        yield f"write {attempt}: accepted", _settled(state, attempt, Accepted(remote_id=f"r{attempt}"))
        return
    error = ANSWERS[answer]
    if failover.bought_nothing(error) or policy.timeout_is_no:
        outcome: Outcome = NotSent() if answer in {"unsent", "unanswered"} else Refused(reason="funds")
        goes_on = failover.may_go_on(error) or policy.timeout_is_no
        yield f"write {attempt}: {answer}", _settled(state, attempt, outcome, goes_on=goes_on)
        if goes_on:
            yield f"write {attempt}: {answer}, waits", _settled(state, attempt, outcome, waits=True)
    else:
        yield f"write {attempt}: unknown", _settled(state, attempt, Unknown())


def _settled(state: State, attempt: int, outcome: Outcome, *, goes_on: bool = False, waits: bool = False) -> State:
    """The real transition, and what follows it."""
    if state.kept is None:
        raise AssertionError("settled, and never written")
    nothing = isinstance(outcome, NotSent | Refused | NotPlaced)
    if state.kept.status in FINISHED:  # the ledger lets nothing follow
        goes_on = waits = False
    following = attempt + 1 if nothing and goes_on and attempt < len(PANELS) else None
    fail = Fail(why="none left") if nothing and following is None and not waits else None
    word = Settled(
        attempt=attempt,
        outcome=outcome,
        following=following,
        panel=PANELS[attempt] if following else "",
        fail=fail,
        waits=waits,
    )
    memory = (following, "written") if following else ""
    spilled = state.spilled - {attempt}
    return msgspec.structs.replace(state, kept=_after(state.kept, word), memory=memory, spilled=spilled)


def _started(state: State, policy: Policy) -> State:
    """Ids kept aside come first; then what was being sent is unknown."""
    if state.kept is None:
        return msgspec.structs.replace(  # who asked got no answer, and asks again: what was sent is nobody's
            state,
            memory="",
            flying=(0, 0),
            acted=(0, 0),
            forgotten=state.forgotten + max(sum(state.acted), sum(state.flying)),
        )
    if policy.replays_spill:
        for attempt in sorted(state.spilled):
            open_now = next(one for one in state.kept.tries if one.id == attempt).state in life.OPEN
            if open_now:
                state = _settled(state, attempt, Accepted(remote_id=f"r{attempt}"))
    state = msgspec.structs.replace(state, memory="", spilled=frozenset())
    for one in state.kept.tries if state.kept is not None else ():
        if one.state is AttemptState.SENDING:
            if policy.recovery_sends_again:
                return msgspec.structs.replace(state, memory=(one.id, "written"))
            kept = _after(state.kept, Recovered(attempt=one.id)) if state.kept is not None else None
            state = msgspec.structs.replace(state, kept=kept)
    return state


def _looks(state: State, policy: Policy) -> Iterator[Step]:
    """Evidence that is true, once it can be had."""
    for one in state.kept.tries if state.kept is not None else ():
        ready = one.id in state.settled or not policy.waits_to_settle
        if one.state is AttemptState.UNKNOWN and ready:
            if state.acted[one.id - 1]:
                yield f"look {one.id}: its id", _settled(state, one.id, Accepted(remote_id=f"r{one.id}"))
                yield f"look {one.id}: money went", _settled(state, one.id, Untracked())
            else:
                yield f"look {one.id}: not placed", _settled(state, one.id, NotPlaced(), goes_on=True)
        elif one.state is AttemptState.UNTRACKED:
            yield f"look {one.id}: its id", _settled(state, one.id, Accepted(remote_id=f"r{one.id}"))


def _waits(state: State, policy: Policy) -> Iterator[Step]:
    """An order that waits is bought when there is money, or given up."""
    kept = state.kept
    if kept is None:
        return
    last = kept.tries[-1] if kept.tries else None
    if not policy.sends_once and last is not None and last.state is AttemptState.ACCEPTED:
        number = last.id - 1
        if state.flying[number] + state.acted[number] < 2:
            yield "send again what waited", msgspec.structs.replace(state, flying=_at(state.flying, number, 1))
    if not policy.waits_for_nobody and last is not None and last.state is AttemptState.UNKNOWN:
        gone = msgspec.structs.replace(kept, status=OrderStatus.CANCELED, charge=Decimal(0))
        yield "give up what was sent", msgspec.structs.replace(state, kept=gone)
    if not kept.waits:
        return
    following = len(kept.tries) + 1
    yield "give up", msgspec.structs.replace(state, kept=_after(kept, GivenUp()))
    if following <= len(PANELS):
        for part in {None, PART} if kept.waits > PART else {None}:
            word = Sent(following=following, panel=PANELS[following - 1], part=part)
            yield (
                f"send {part or 'all'}",
                msgspec.structs.replace(state, kept=_after(kept, word), memory=(following, "written")),
            )


def _statuses(state: State, policy: Policy) -> Iterator[Step]:
    """What the panels say of orders that they took."""
    kept = state.kept
    if kept is None:
        return
    for one in kept.tries:
        over = one.passed_on or kept.status in FINISHED
        if one.state is AttemptState.ACCEPTED and over and state.made[one.id - 1] and one.id not in state.late:
            late = msgspec.structs.replace(state, late=state.late | {one.id})
            for status, remains in ((OrderStatus.CANCELED, None), (OrderStatus.PARTIAL, min(4, one.units))):
                told = Status(status=status, word="", remains=remains)
                yield f"{one.id} {status} after all", _observed(late, one.id, told, policy)
        asked_again = one.id not in state.ended or (one.later and not one.passed_on)
        if one.state is not AttemptState.ACCEPTED or not asked_again or kept.status in FINISHED:
            continue
        completed = Status(status=OrderStatus.COMPLETED, word="", remains=0)
        yield f"{one.id} completed", _observed(state, one.id, completed, policy)
        if one.later:
            given_up = _after(kept, GivenUp(attempt=one.id, status=completed))
            made = _made(state, one.id, completed)
            yield f"{one.id} completed, given up", msgspec.structs.replace(state, kept=given_up, made=made)
        for told in (
            *((completed,) if one.later else ()),
            Status(status=OrderStatus.CANCELED, word=""),
            Status(status=OrderStatus.PARTIAL, word="", remains=min(4, one.units)),
        ):
            ended = msgspec.structs.replace(state, ended=state.ended | {one.id})
            yield f"{one.id} {told.status}", _observed(ended, one.id, told, policy)
            if one.id < len(PANELS) and not one.passed_on and rest_of(one, told) > 0:
                word = PassedOn(attempt=one.id, status=told, following=one.id + 1, panel=PANELS[one.id])
                after = _after(kept, word)
                if not policy.tells_passed_on:
                    tries = tuple(msgspec.structs.replace(each, passed_on=False) for each in after.tries)
                    after = msgspec.structs.replace(after, tries=tries)
                waits = _after(kept, PassedOn(attempt=one.id, status=told, following=None))
                memory = (one.id + 1, "written")
                made = _made(state, one.id, told)
                yield f"{one.id} passed on", msgspec.structs.replace(ended, kept=after, memory=memory, made=made)
                yield f"{one.id} passed on, waits", msgspec.structs.replace(ended, kept=waits, made=made)


def _observed(state: State, attempt: int, told: Status, policy: Policy) -> State:
    if state.kept is None:
        raise AssertionError("observed, and never written")
    word = Observed(attempt=attempt, status=told, late=policy.hears_late)
    return msgspec.structs.replace(state, kept=_after(state.kept, word), made=_made(state, attempt, told))


def _made(state: State, attempt: int, told: Status) -> tuple[int, int]:
    """Units delivered, once the panel of an attempt has said that of it."""
    if state.kept is None:
        raise AssertionError("delivered, and never written")
    units = state.kept.tries[attempt - 1].units
    left = units if told.status is OrderStatus.CANCELED else told.remains or 0
    made = [*state.made]
    made[attempt - 1] = units - left
    return made[0], made[1]


def _after(kept: Life, word: Word) -> Life:
    following = life.after(kept, word)
    if isinstance(following, Unclear):
        raise AssertionError(following.why)  # noqa: TRY004 - no mistake in a type
    return following


def _ended(state: State) -> bool:
    """The order has come to its end, and nothing of it is under way."""
    kept = state.kept
    if kept is None or state.memory != "" or any(state.flying):
        return False
    return kept.status in FINISHED and not any(one.state in life.OPEN for one in kept.tries)


def _at(counts: tuple[int, int], number: int, more: int) -> tuple[int, int]:
    changed = [*counts]
    changed[number] += more
    return changed[0], changed[1]


def _stuck(edges: dict[State, list[State]]) -> list[State]:
    """States from which no way leads to an end."""
    back: dict[State, list[State]] = {}
    for state, following in edges.items():
        for one in following:
            back.setdefault(one, []).append(state)
    good = [state for state in edges if _ended(state) or bad(state) is not None]
    seen = set(good)
    while good:
        for before in back.get(good.pop(), ()):
            if before not in seen:
                seen.add(before)
                good.append(before)
    return [state for state in edges if state not in seen]


def _way(came: dict[State, tuple[State, str] | None], state: State) -> tuple[str, ...]:
    way: list[str] = []
    before = came[state]
    while before is not None:
        state, name = before
        way.append(name)
        before = came[state]
    return tuple(reversed(way))
