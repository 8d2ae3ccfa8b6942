"""PostgreSQL as the ledger's database: a few connections, each of which takes work as it becomes free."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from typing import Any, Final

import structlog

from gateway.ledger.postgres import groups, schema, transactions
from gateway.ledger.postgres.connection import connect, crossed, ended, passing, told
from gateway.ledger.postgres.transactions import MORE, UNTOLD, Undecided
from gateway.ledger.records import LedgerBusy, NewPlacement
from gateway.ledger.sql import audit, nodes, orders, tracking
from gateway.ledger.sql.work import P, T, Work

_log = structlog.get_logger()

GROUPS: Final = 2
"""Connections that orders are placed and settled on, many at once: while they are busy, the next ones gather."""

TOGETHER: Final = 48
"""Works that share a transaction at most."""

WRITERS: Final = 6
READERS: Final = 4
PATIENCE_S: Final = 8.0
"""How long a work waits for a server that is away, before the ledger is busy."""

_FIRST_PAUSE_S: Final = 0.02  # before a connection is tried anew; doubling
_PAUSE_S: Final = 0.5
_CROSSED_MOST: Final = 20  # times that a work is begun because others were in its way
_CROSSED_LATE: Final = 3  # the same, of one that has waited for long

_BEATS: Final = frozenset({nodes.beat, nodes.join})  # on a way of their own: they wait for no order, however many wait
_PROBES: Final = frozenset({nodes.touch})  # and on one more, which may hang without a beat being late
_LONG: Final = frozenset({audit.totals, audit.replayed})  # they read all of the ledger

Made = Callable[[], Work[Any]]


class Postgres:
    """The database at `url`."""

    def __init__(self, url: str, *, patience_s: float = PATIENCE_S) -> None:
        self._url = url
        self._patience_s = patience_s
        self._groups: Lane | None = None
        self._writers: Lane | None = None
        self._readers: Lane | None = None
        self._beats: Lane | None = None
        self._probes: Lane | None = None

    async def open(self, now_ms: int) -> None:
        try:
            connection = await connect(self._url)
        except Exception as error:
            raise told(error) from error
        try:
            await schema.migrate(connection, schema.migrations(), now_ms)
        except Exception as error:
            raise told(error) from error
        finally:
            connection.terminate()
        self._groups = Lane("ledger-group", self._url, _Writer(), GROUPS, self._patience_s, together=TOGETHER)
        self._writers = Lane("ledger-write", self._url, _Writer(), WRITERS, self._patience_s)
        self._readers = Lane("ledger-read", self._url, _Reader(), READERS, self._patience_s)
        self._beats = Lane("ledger-beat", self._url, _Writer(), 1, self._patience_s)
        self._probes = Lane("ledger-probe", self._url, _Writer(), 1, self._patience_s)

    async def close(self) -> None:
        """Do what was submitted, and let go. Closing twice is closing once."""
        for lane in (self._groups, self._writers, self._readers, self._beats, self._probes):
            if lane is not None:
                await lane.close()

    def read(self, work: Callable[P, Work[T]], *given: P.args, **named: P.kwargs) -> asyncio.Future[T]:
        return _open(self._readers).submit(lambda: work(*given, **named), work)

    def write(self, work: Callable[P, Work[T]], *given: P.args, **named: P.kwargs) -> asyncio.Future[T]:
        if work in _BEATS:
            lane = self._beats
        elif work in _PROBES:
            lane = self._probes
        else:
            lane = self._groups if _is_hot(work, given) else self._writers
        return _open(lane).submit(lambda: work(*given, **named), work)


def _is_hot(work: object, given: tuple[Any, ...]) -> bool:
    """Whether it is of the works that come by the hundred, and that a group can take."""
    if work is orders.place:
        new: NewPlacement = given[0]
        return new.budget_day is None and new.budget_month is None
    is_pulse = work is tracking.postpone and not given[0]  # it tells how long orders wait
    return work is orders.settle or is_pulse


class _Writer:
    async def run(self, connection: Any, make: Made, _kind: object) -> Any:
        return await transactions.write(connection, make())


class _Reader:
    """Most reads are one statement, and need no transaction around it; which are, is learned by doing."""

    def __init__(self) -> None:
        self._many: set[object] = set()

    async def run(self, connection: Any, make: Made, kind: object) -> Any:
        if kind in _LONG:
            return await transactions.read(connection, make(), long=True)
        if kind not in self._many:
            answer = await transactions.read_one(connection, make())
            if answer is not MORE:
                return answer
            self._many.add(kind)
        return await transactions.read(connection, make())


class _Job:
    def __init__(self, make: Made, kind: object, future: asyncio.Future[Any], until: float) -> None:
        self.make = make
        self.kind = kind
        self.future = future
        self.until = until
        self.undecided: Undecided | None = None

    def answer(self, value: object) -> None:
        if not self.future.done():
            self.future.set_result(value)

    def fail(self, error: BaseException) -> None:
        if self.undecided is not None and isinstance(error, LedgerBusy):
            error = LedgerBusy(f"ledger: {UNTOLD}: {error}")
        if not self.future.done():
            self.future.set_exception(error)


class Lane:
    """At most so many connections, made as they are needed, and the works that wait for one.

    What was submitted is done, whoever waits for it or not. The connection that was used last is used first.
    """

    def __init__(
        self, name: str, url: str, runner: _Writer | _Reader, most: int, patience_s: float, *, together: int = 1
    ) -> None:
        self._name = name
        self._url = url
        self._runner = runner
        self._most = most
        self._patience_s = patience_s
        self._together = together
        self._waiting: deque[_Job] = deque()
        self._idle: list[Any] = []
        self._working: set[asyncio.Task[None]] = set()
        self._serving = 0  # of these, those that have not ended
        self._closed = False
        self._away = False  # the last that was tried found no server
        self._loop = asyncio.get_running_loop()

    def submit(self, make: Made, kind: object) -> asyncio.Future[Any]:
        if self._closed:
            raise LedgerBusy("ledger: it is closed")
        future: asyncio.Future[Any] = self._loop.create_future()
        self._waiting.append(_Job(make, kind, future, self._loop.time() + self._patience_s))
        if self._serving < self._most:
            self._serving += 1
            task = self._loop.create_task(self._serve(), name=self._name)
            self._working.add(task)
            task.add_done_callback(self._working.discard)
        return future

    async def close(self) -> None:
        self._closed = True
        while self._working:
            await asyncio.wait(self._working)
        for connection in self._idle:
            with contextlib.suppress(Exception):
                await connection.close(timeout=1)
        self._idle.clear()

    async def _serve(self) -> None:
        """Do what waits, one after the other."""
        connection = self._idle.pop() if self._idle else None
        while self._waiting:
            group = [self._waiting.popleft() for _ in range(min(self._together, len(self._waiting)))]
            if len(group) > 1:
                group, connection = await self._done_together(group, connection)
            for job in group:
                connection = await self._done(job, connection)
        if connection is not None and not connection.is_closed():
            self._idle.append(connection)
        self._serving -= 1

    async def _done_together(self, group: list[_Job], connection: Any) -> tuple[list[_Job], Any]:
        """Do several jobs in one transaction; gives those that are still to be done, each by itself."""
        try:
            if connection is None or connection.is_closed():
                connection = None
                connection = await connect(self._url)
            outcomes = await groups.write(connection, [job.make() for job in group])
        except groups.OneByOne:
            return group, connection
        except Undecided as undecided:
            left = []
            for job, (answer, failure) in zip(group, undecided.answer, strict=True):
                if isinstance(failure, groups.OneByOne):
                    left.append(job)
                elif failure is None:
                    job.undecided = Undecided(undecided.trace, answer)
                    left.append(job)
                else:
                    job.fail(failure)
            return left, connection
        except Exception as error:  # noqa: BLE001 - it comes again where each is done by itself, and is told there
            _log.debug("ledger", outcome="apart", why=str(error))
            return group, connection
        left = []
        for job, (answer, failure) in zip(group, outcomes, strict=True):
            if isinstance(failure, groups.OneByOne):
                left.append(job)
            elif failure is None:
                job.answer(answer)
            else:
                job.fail(failure)
        return left, connection

    async def _done(self, job: _Job, connection: Any) -> Any:
        """Do a job, as often as it takes; gives the connection to go on with."""
        pause_s, times = _FIRST_PAUSE_S, 0
        if self._away and self._loop.time() > job.until:
            job.fail(LedgerBusy("ledger: the server cannot be reached"))
            return connection
        while True:
            try:
                if connection is None or connection.is_closed():
                    connection = None
                    connection = await connect(self._url)
                job.answer(await self._run(job, connection))
                self._away = False
                return connection
            except Undecided as undecided:
                job.undecided = undecided
                _log.warning("ledger", outcome="undecided", why=str(undecided.__cause__))
            except Exception as error:  # noqa: BLE001 - whatever a work raises is its caller's, and the lane lives on
                times += 1
                if crossed(error) and times < (_CROSSED_MOST if self._loop.time() < job.until else _CROSSED_LATE):
                    continue
                if connection is not None and ended(error):
                    connection.terminate()
                lost = passing(error) and (connection is None or connection.is_closed())
                if not lost or self._loop.time() + pause_s > job.until or self._closed:
                    job.fail(told(error))
                    self._away = lost
                    if lost:
                        self._turn_away(error)
                    return connection
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, _PAUSE_S)

    def _turn_away(self, error: Exception) -> None:
        """The server is away: who has waited long enough for a connection does not wait for those before as well."""
        while self._waiting and self._waiting[0].until <= self._loop.time():
            self._waiting.popleft().fail(told(error))

    async def _run(self, job: _Job, connection: Any) -> Any:
        if job.undecided is not None:
            undecided = job.undecided
            if await transactions.committed(connection, undecided):
                return undecided.answer
            job.undecided = None
        return await self._runner.run(connection, job.make, job.kind)


def _open(lane: Lane | None) -> Lane:
    if lane is None:
        raise LedgerBusy("ledger: it is not open")
    return lane
