"""One deadline for many waits of the same length."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class Deadline:
    """Ends what is awaited after `seconds` and a little.

    One timer looks after all of them: a timer each, set and cancelled with every call, was a tenth of what a call cost.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._since: dict[asyncio.Task[object], float] = {}  # who waits, in the order they began
        self._timer: asyncio.TimerHandle | None = None

    async def of(self, work: Coroutine[Any, Any, T]) -> T:
        """What `work` gives. A task waits for one thing at a time.

        Raises:
            TimeoutError: not in time; it was cancelled.
        """
        task, loop = asyncio.current_task(), asyncio.get_running_loop()
        assert task is not None  # noqa: S101 - a coroutine of a running loop is some task's
        self._since[task] = loop.time()
        if self._timer is None:
            self._timer = loop.call_later(self._seconds / 4, self._look, loop)
        try:
            return await work
        except asyncio.CancelledError:
            if task in self._since or task.uncancel() > 0:  # by somebody else
                raise
            raise TimeoutError from None
        finally:
            self._since.pop(task, None)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        """Cancel what is late; ends with the last one that waits."""
        late = [task for task, since in self._since.items() if loop.time() - since >= self._seconds]
        for task in late:
            del self._since[task]
            task.cancel()
        self._timer = loop.call_later(self._seconds / 4, self._look, loop) if self._since else None
