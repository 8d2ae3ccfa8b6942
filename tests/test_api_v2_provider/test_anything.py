"""Whatever a panel says: an order is unknown unless something proves otherwise."""

import asyncio
import json
from collections.abc import Iterator, Mapping
from typing import get_args

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from providers.api_v2.words import known
from providers.base import (
    Action,
)
from providers.errors import ProviderError, Reason, Refused, Throttled, Unanswered, Unsent
from tests.test_api_v2_provider.canned import CLOUDFLARE, ORDER, ask, panel

pytestmark = pytest.mark.anyio


TEXTS = st.sampled_from(["Incorrect service ID", "no money", "Failed to create order", "Rate limit exceeded", "x", ""])
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    TEXTS,
    st.text(max_size=9),
)
NAMES = st.sampled_from(
    [
        *("order", "order_id", "Order", "id", "orders", "error", "errors", "status", "message", "data", "success"),
        *("result", "ok", "balance", "refill", "cancel", "1", "charge", "remains", "service", "services"),
    ]
)
DOCUMENTS = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4), max_leaves=8
)
BODIES = st.one_of(
    DOCUMENTS.map(lambda document: json.dumps(document).encode()),
    st.tuples(DOCUMENTS, st.integers(0, 30)).map(lambda cut: json.dumps(cut[0]).encode()[: cut[1]]),
    st.binary(max_size=40),
    st.text(max_size=40).map(lambda text: f"<html>{text}</html>".encode("utf-8", "replace")),
)
STATUSES = st.sampled_from([200, 200, 200, 201, 204, 301, 400, 401, 403, 404, 409, 422, 429, 500, 502, 503, 520, 521])
HEADERS = st.sampled_from([None, CLOUDFLARE, {**CLOUDFLARE, "CF-Mitigated": "challenge"}, {}])


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    """One event loop for all examples: making one takes longer than the example."""
    with asyncio.Runner() as runner:
        yield runner


def leaves(document: object) -> Iterator[object]:
    if isinstance(document, dict):
        document = list(document.values())
    if isinstance(document, list):
        for inner in document:
            yield from leaves(inner)
    else:
        yield document


def said_in(body: bytes) -> list[object]:
    """All values of a JSON body; nothing of any other."""
    try:
        return list(leaves(json.loads(body.decode("utf-8-sig"))))
    except (ValueError, RecursionError):
        return []


@settings(max_examples=300, deadline=None)
@given(status=STATUSES, body=BODIES, headers=HEADERS)
@example(status=200, body=b'{"order":5,"error":"no money"}', headers=None)
@example(status=521, body=b"", headers=CLOUDFLARE)
@example(status=503, body=b'{"order":5}', headers={**CLOUDFLARE, "CF-Mitigated": "challenge"})
def test_an_order_is_unknown_unless_something_proves_otherwise(
    runner: asyncio.Runner, status: int, body: bytes, headers: Mapping[str, str] | None
) -> None:
    said = said_in(body)
    meanings = [word for leaf in said if isinstance(leaf, str) and (word := known(leaf)) is not None]
    provider = panel(body, status, headers)
    try:
        placed = runner.run(provider.add(ORDER))
    except Throttled:
        assert status == 429 or any(word.reason is Reason.RATE_LIMIT for word in meanings)
    except Refused:
        turned_away = status in {401, 402, 403, 404, 405, 411, 413, 414, 415, 431}
        challenged = status == 503 and headers is not None and "CF-Mitigated" in headers
        assert turned_away or challenged or (status < 500 and any(word.settles_add for word in meanings))
    except Unsent:
        assert status == 521
        assert headers is not None
        assert "CF-RAY" in headers
    except Unanswered:
        pass
    else:
        assert 200 <= status < 300
        assert placed.remote_id in {str(leaf) for leaf in said}
        assert placed.remote_id != "0"


@settings(max_examples=300, deadline=None)
@given(action=st.sampled_from(get_args(Action)), status=STATUSES, body=BODIES, many=st.booleans())
def test_nothing_but_our_own_errors_comes_out_whatever_a_panel_says(
    runner: asyncio.Runner, action: Action, status: int, body: bytes, many: bool
) -> None:
    ids = ("1", "2") if many else ("1",)
    try:
        found = runner.run(ask(panel(body, status), action, *ids))
    except ProviderError:
        return
    if action not in {"services", "add", "balance", "orders"}:
        assert isinstance(found, dict)
        assert set(found) <= set(ids)
