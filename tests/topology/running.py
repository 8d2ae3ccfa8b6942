"""One program of the topology: started, stopped, killed, paused; its words kept in a file."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

_LOOK_S: Final = 0.02
_TAIL: Final = 2000  # bytes of a log that an error quotes


class Ended(RuntimeError):
    """A program that ended, or never came to be ready; the text has the last of what it said."""


class Program:
    """A program and all its children, in a process group of their own. It can be started again after any end.

    `words()` is the command line; `ready()` tells whether it does what it is for, and may raise OSError until then.
    """

    name: str
    longest_s: float = 30.0
    """How long a start may take until it is ready, seconds."""

    def __init__(self, name: str, folder: Path, environ: Mapping[str, str], *, user: str | None = None) -> None:
        self.name = name
        self.folder = folder
        self.log = folder / f"{name}.log"
        self._environ = environ
        self._user = user
        self._process: subprocess.Popen[bytes] | None = None

    def words(self) -> Sequence[str | Path]:
        raise NotImplementedError

    def ready(self) -> bool:
        raise NotImplementedError

    @property
    def runs(self) -> bool:
        """Whether it was started and has not ended since; a paused one runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """The id of its process, and of its group.

        Raises:
            Ended: it does not run.
        """
        if self._process is None:
            raise Ended(f"{self.name} does not run")
        return self._process.pid

    def start(self) -> None:
        """Start it, and come back once it is ready.

        Raises:
            Ended: it ended at once, or is not ready in time and was killed.
        """
        self.launch()
        self.wait_ready()

    def launch(self) -> None:
        """Start it, and do not wait."""
        assert not self.runs, f"{self.name} runs already"
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [str(word) for word in self.words()],
                cwd=self.folder,
                env=dict(self._environ),
                user=self._user,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def wait_ready(self) -> None:
        """Come back once it is ready; raises as `start` does."""
        end = time.monotonic() + self.longest_s
        while not self._is_ready():
            if not self.runs:
                raise Ended(f"{self.name} ended: {self.said()}")
            if time.monotonic() > end:
                self.kill()
                raise Ended(f"{self.name} was not ready within {self.longest_s} s: {self.said()}")
            time.sleep(_LOOK_S)

    def _is_ready(self) -> bool:
        try:
            return self.ready()
        except OSError:
            return False

    def stop(self, *, within_s: float = 140.0) -> int:
        """Ask it to end, as a supervisor does, and wait; gives its exit code.

        Raises:
            Ended: it did not end in time, and was killed.
        """
        process = self._process
        assert process is not None, f"{self.name} does not run"
        process.send_signal(self._ask())  # it alone: what it says to its children is its own affair
        try:
            code = process.wait(within_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise Ended(f"{self.name} did not end within {within_s} s: {self.said()}") from None
        self._forget()
        return code

    def _ask(self) -> signal.Signals:
        return signal.SIGTERM

    def kill(self) -> None:
        """End it and its children now, as a lost machine would; nothing where it does not run."""
        if self._process is not None:
            self._signal(signal.SIGKILL)
            self._process.wait()
            self._forget()

    def _forget(self) -> None:
        """See its children out too: one that still held the port would be taken for what is started next."""
        self._signal(signal.SIGKILL)
        while _living(self.pid):
            time.sleep(_LOOK_S)
        self._process = None

    def pause(self) -> None:
        """Hold it and its children still, connections open, as a machine that swaps or migrates does."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a paused one go on; it does not know that time went by."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):  # it ended meanwhile
            os.killpg(self.pid, number)

    def said(self) -> str:
        """The last of what it said."""
        return self.log.read_bytes()[-_TAIL:].decode(errors="replace") if self.log.exists() else ""


def _living(group: int) -> bool:
    """Whether a process of the group runs; those that only wait to be buried do not count."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _parent, its_group = stat.read_text().rpartition(")")[2].split()[:3]
        except OSError:
            continue  # it ended meanwhile
        if int(its_group) == group and state not in {"Z", "X"}:
            return True
    return False
