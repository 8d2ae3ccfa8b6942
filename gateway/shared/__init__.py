"""What nodes share and may lose: Redis where there are several, a twin in process where there is one.

Nothing here is a record. An answer may be absent for any reason, a claim may be granted to two, a message may never
come, and all goes on: what must not be lost is in the ledger.
"""

from gateway.redis_url import redis_url
from gateway.shared.in_process import InProcess
from gateway.shared.protocol import Late, Shared, Turn, Window
from gateway.shared.redis import PREFIX, WAIT_S, Redis
from gateway.shared.turns import SharedTurns

__all__ = [
    "PREFIX",
    "WAIT_S",
    "InProcess",
    "Late",
    "Redis",
    "Shared",
    "SharedTurns",
    "Turn",
    "Window",
    "shared",
]


def shared(url: str | None, *, prefix: str = PREFIX) -> Shared:
    """The store at `url`, whose keys and channels begin with `prefix`, or the twin in process where there is none.

    Raises:
        ValueError: `url` is none of those that `gateway.redis_url` reads; its text shows no password.
    """
    if url is None:
        return InProcess()
    try:
        return Redis(redis_url(url), prefix=prefix)
    except ValueError as wrong:
        raise ValueError(f"PANELMUX_REDIS: {wrong}") from None
