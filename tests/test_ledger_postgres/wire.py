"""A way to a PostgreSQL server that can be cut at any message, on a Unix socket of its own."""

import asyncio
import contextlib
import tempfile
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Final, Literal

Cut = Literal["before", "with", "after"]
"""Before the message is passed on; with it, whatever is answered; or after its answer came, which is kept back."""

_SOCKET: Final = ".s.PGSQL.5432"


async def _nothing() -> None:
    pass


class Wire:
    """`cuts`: for each message that holds `words`, one after the other, what becomes of it; None = it passes.

    `cut` is awaited while the client has not noticed yet. `seen` are the queries that were passed on.
    """

    def __init__(self, server: Path, *, words: bytes = b"COMMIT") -> None:
        self._server = server
        self._words = words
        self.cuts: deque[Cut | None] = deque()
        self.cut: Callable[[], Awaitable[None]] = _nothing
        self.seen: list[bytes] = []

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[str]:
        """Gives the name of the folder to connect to."""
        with tempfile.TemporaryDirectory(prefix="wire-") as folder:
            listening = await asyncio.start_unix_server(self._serve, Path(folder) / _SOCKET)
            async with listening:
                yield folder

    async def _serve(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        try:
            server, to_server = await asyncio.open_unix_connection(self._server / _SOCKET)
        except OSError:
            to_client.close()
            return
        answers = asyncio.create_task(_passed(server, to_client))
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                await self._follow(client, server, to_server, answers)
        finally:
            answers.cancel()
            to_server.close()
            to_client.close()

    async def _follow(
        self,
        client: asyncio.StreamReader,
        server: asyncio.StreamReader,
        to_server: asyncio.StreamWriter,
        answers: "asyncio.Task[None]",
    ) -> None:
        """Pass on what the client says, message by message, until it is cut."""
        first = await client.readexactly(4)
        to_server.write(first + await client.readexactly(int.from_bytes(first) - 4))
        while True:
            head = await client.readexactly(5)
            body = await client.readexactly(int.from_bytes(head[1:]) - 4)
            self.seen.append(body)
            cut = self.cuts.popleft() if self._words in body and self.cuts else None
            if cut is None:
                to_server.write(head + body)
                continue
            answers.cancel()
            await asyncio.gather(answers, return_exceptions=True)
            if cut != "before":
                to_server.write(head + body)
                await to_server.drain()
            if cut == "after":
                await server.readexactly(5)
            await self.cut()
            return


async def _passed(server: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
    while data := await server.read(65536):
        to_client.write(data)
    to_client.close()
