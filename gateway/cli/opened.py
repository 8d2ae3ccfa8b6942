"""Settings and the ledger, as commands need them."""

import contextlib
import logging
import os
from collections.abc import AsyncIterator

from gateway import logs
from gateway.cli.failure import Exit, Failure
from gateway.ledger import ledger
from gateway.ledger.protocol import Ledger
from gateway.settings import PREFIX, Settings, is_postgres, settings, sqlite_path


def settled(**given: str | int | None) -> Settings:
    """The settings of the environment, with what the command line says above them; logs go to stderr from here on."""
    above = {PREFIX + name.upper(): str(value) for name, value in given.items() if value is not None}
    found = settings({**os.environ, **above})
    logs.configure(found.log, (found.pepper or "",), level=logging.WARNING)
    return found


@contextlib.asynccontextmanager
async def ledger_at(url: str, *, make: bool = False) -> AsyncIterator[Ledger]:
    """The ledger, beside a gateway that sells from it or without one; `make`: it may not be there yet."""
    if not is_postgres(url):
        path = sqlite_path(url)
        if not make and not path.exists():
            raise Failure(
                f"ledger: {path}: no such file; is PANELMUX_LEDGER right? serve and account create make one",
                Exit.UNREACHABLE,
            )
        path.parent.mkdir(parents=True, exist_ok=True)
    opened = ledger(url)
    await opened.open()
    try:
        yield opened
    finally:
        await opened.close()
