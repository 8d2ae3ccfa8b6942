"""An event loop whose time jumps to the next timer whenever nothing is left to do: hours pass in milliseconds."""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any


class Stuck(AssertionError):
    """Nothing is ready and no timer runs: what is waited for can never come."""


class _Selector(selectors.SelectSelector):
    """Never waits and never sees anything: `passes` is told how long it would have waited."""

    def __init__(self, passes: Callable[[float | None], None]) -> None:
        super().__init__()
        self._passes = passes

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self._passes(timeout)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """Begins at `now` seconds. No sockets, no threads."""

    def __init__(self, now: float) -> None:
        self._virtual_now = now
        super().__init__(_Selector(self._pass))
        self.set_exception_handler(lambda *_: None)  # what a crash leaves behind has nobody to complain to
        self._clock_resolution = 1e-5  # coarser than a float of this size: a timer that is due must be seen as due

    def time(self) -> float:
        return self._virtual_now

    def _pass(self, timeout: float | None) -> None:
        if timeout is None:
            raise Stuck("nothing will ever happen any more")
        self._virtual_now += timeout

    def until_stopped(self, work: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
        """Run until `work` ends or somebody stops the loop: gives the task, done or not."""
        asyncio.set_event_loop(self)
        task = self.create_task(work)
        task.add_done_callback(lambda _: self.stop())
        self.run_forever()
        return task

    def abandon(self) -> None:
        """Forget all that was under way, as a crash does: no `finally` is waited for, nothing is told."""
        for task in asyncio.all_tasks(self):
            task._log_destroy_pending = False  # type: ignore[attr-defined]
        self._ready.clear()  # type: ignore[attr-defined]
        self._scheduled.clear()  # type: ignore[attr-defined]
        asyncio.set_event_loop(None)
        self.close()
