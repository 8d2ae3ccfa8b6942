"""A panel that says one thing, whatever it is asked."""

import json
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import parse_qsl

import pytest
from multidict import CIMultiDict

from providers.api_v2 import APIv2
from providers.base import (
    Action,
    NewOrder,
    Refusal,
)
from providers.errors import ProviderError, Reason
from providers.service_types import Default
from providers.transport import Reply, Transport
from providers.transport.reply import reply
from providers.transport.session import Call

KEY = "c4nary/Secret+Key"
ORDER = NewOrder(remote_service="101", fields=Default(link="https://x.example/p", quantity=100))
CLOUDFLARE = {"Server": "cloudflare", "CF-RAY": "8f00-FRA"}


class Canned(Transport):
    """A transport whose panel says one thing, whatever it is asked."""

    def __init__(self, said: object, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        super().__init__("alpha", "https://panel.example/api/v2", KEY, sleep=self._nap)
        self._body = said if isinstance(said, bytes) else json.dumps(said).encode()
        self._status = status
        self._headers = CIMultiDict({"Content-Length": str(len(self._body))} if headers is None else headers)
        self.sent: list[dict[str, str]] = []

    async def _nap(self, seconds: float) -> None:
        pass

    async def _exchange(self, call: Call, body: bytes) -> Reply:
        call.left()
        self.sent.append(dict(parse_qsl(body.decode())))
        return reply(self._status, self._headers, self._body)


def panel(said: object, status: int = 200, headers: Mapping[str, str] | None = None) -> APIv2:
    return APIv2(Canned(said, status, headers))


async def refusal(said: object, action: Action = "add", status: int = 200) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        await ask(panel(said, status), action)
    return caught.value


async def ask(provider: APIv2, action: Action, *ids: str) -> object:
    if action == "add":
        return await provider.add(ORDER)
    if action in {"services", "balance", "orders"}:
        return await getattr(provider, action)()
    return await getattr(provider, action)(ids or ("1",))


FACTS = Path(__file__).parents[3] / "shared" / "protocol.json"

GONE = Refusal(Reason.ORDER, "Incorrect order ID")
