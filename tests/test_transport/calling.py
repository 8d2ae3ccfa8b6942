"""What these tests call with: one transport, one order, a sleep that takes no time."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from providers.base import Action
from providers.errors import ProviderError
from providers.transport import Limits, Transport

KEY = "c4nary/Secret+Key"
SILENT = Limits(add_s=0.15, read_s=0.15)  # for panels that never finish
UNREACHED = Limits(connect_s=0.2, reach_s=0.2)  # for those that are never reached
ORDER = {"service": "1", "link": "https://x.example/p", "quantity": "100"}


class Naps:
    """A sleep that only notes how long it would have been."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)


def transport(url: str, **options: Any) -> Transport:
    given: dict[str, Any] = {"allow_private": True, "sleep": Naps()} | options
    return Transport("alpha", url, KEY, **given)


async def failure(url: str, action: Action = "add", **options: Any) -> ProviderError:
    """Send `action` to a panel that fails it, and give how."""
    async with transport(url, **options) as line:
        with pytest.raises(ProviderError) as caught:
            await line.send(action, ORDER)
    return caught.value


def no_address(fault: Exception) -> Callable[..., Awaitable[object]]:
    async def getaddrinfo(*_: object, **__: object) -> object:
        raise fault

    return getaddrinfo
