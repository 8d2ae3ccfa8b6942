"""What the status of an answer proves, redirects among them."""

import pytest

from providers.errors import Reason, Refused, Throttled, Unanswered, Unsent
from providers.transport import Reply, Verdict, reason, verdict
from providers.transport.reply import retry_after
from tests.raw_panel import Act, RawPanel, answer
from tests.test_transport.calling import ORDER, failure, transport

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 405, 408, 409, 411, 413, 414, 415, 422, 431, 451])
async def test_a_4xx_is_the_dialects_to_read(status: int) -> None:
    async with RawPanel(answer('{"error": "no money"}', status=status)) as panel, transport(panel.url) as line:
        got = await line.send("add", ORDER)
    assert (got.status, got.body) == (status, b'{"error": "no money"}')


async def test_of_a_long_error_page_the_beginning_is_read() -> None:
    async with RawPanel(answer(b"x" * 200_000, status=403)) as panel, transport(panel.url) as line:
        got = await line.send("add", ORDER)
    assert (got.status, len(got.body)) == (403, 64 * 1024)


CLOUDFLARE = "Server: cloudflare\r\nCF-RAY: 8f00-FRA\r\n"


@pytest.mark.parametrize("status", [521, 523, 525, 526, 530])
async def test_cloudflares_word_that_the_panel_was_not_reached_counts_from_cloudflare_only(status: int) -> None:
    async with RawPanel(answer(status=status, headers=CLOUDFLARE)) as panel:
        assert type(await failure(panel.url)) is Unsent
        assert len(panel.requests) == 1  # for another panel to try, not for this one
    async with RawPanel(answer(status=status)) as panel:
        assert type(await failure(panel.url)) is Unanswered


@pytest.mark.parametrize("status", [520, 522, 524, 527])
async def test_cloudflares_other_statuses_leave_it_open(status: int) -> None:
    async with RawPanel(answer(status=status, headers=CLOUDFLARE)) as panel:
        assert type(await failure(panel.url)) is Unanswered


@pytest.mark.parametrize(
    "act",
    [
        answer("<html>Just a moment", status=403, headers=CLOUDFLARE + "cf-mitigated: challenge\r\n"),
        answer('<script src="/cdn-cgi/challenge-platform/h/b">', status=503, headers=CLOUDFLARE),
    ],
)
async def test_a_challenge_page_is_a_refusal_at_the_edge(act: Act) -> None:
    async with RawPanel(act) as panel:
        fault = await failure(panel.url, "balance")
    assert isinstance(fault, Refused)
    assert fault.reason is Reason.EDGE
    assert len(panel.requests) == 1


async def test_a_503_that_only_speaks_of_challenges_proves_nothing() -> None:
    async with RawPanel(answer('<script src="/cdn-cgi/challenge-platform/h/b">', status=503)) as panel:
        assert type(await failure(panel.url)) is Unanswered


@pytest.mark.parametrize(("header", "seconds"), [("", None), ("Retry-After: 30\r\n", 30.0)])
async def test_429_asks_to_come_later(header: str, seconds: float | None) -> None:
    async with RawPanel(answer(status=429, headers=header)) as panel:
        fault = await failure(panel.url)
    assert isinstance(fault, Throttled)
    assert (fault.retry_after_s, fault.reason) == (seconds, Reason.RATE_LIMIT)
    assert len(panel.requests) == 1


def test_retry_after_is_read_against_the_answers_own_date() -> None:
    date = "Wed, 21 Oct 2026 07:28:00 GMT"
    assert retry_after("Wed, 21 Oct 2026 07:29:00 GMT", date) == 60.0
    assert retry_after("Wed, 21 Oct 2026 07:27:00 GMT", date) == 0.0
    assert retry_after("Wed, 21 Oct 2026 07:29:00 GMT", "") is None
    assert retry_after("Wed, 21 Oct 2026 07:29:00 -0000", date) is None
    assert retry_after("-5", date) is None
    assert retry_after("999999", date) == 86400.0


def test_a_status_proves_what_the_table_says_and_no_more() -> None:
    found = {status: verdict(Reply(status=status, body=b"")) for status in range(100, 600)}
    refused = {401, 402, 403, 404, 405, 411, 413, 414, 415, 431}
    assert {status for status, proof in found.items() if proof is Verdict.REFUSED} == refused
    assert {status for status, proof in found.items() if proof is Verdict.READ} == set(range(200, 300))
    assert {status for status, proof in found.items() if proof is Verdict.THROTTLED} == {429}
    assert {status for status, proof in found.items() if proof is Verdict.WORDS} == (
        set(range(400, 500)) - refused - {429}
    )
    assert all(found[status] is Verdict.UNANSWERED for status in [*range(100, 200), *range(300, 400), *range(500, 600)])


def test_a_status_without_known_words_has_a_reason_too() -> None:
    assert [reason(status, worded=False) for status in (401, 402, 403, 404, 405)] == [
        Reason.KEY,
        Reason.FUNDS,
        Reason.EDGE,
        Reason.EDGE,
        Reason.REQUEST,
    ]
    assert [reason(status, worded=True) for status in (401, 403, 404)] == [Reason.KEY, Reason.OTHER, Reason.OTHER]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed_and_the_key_does_not_travel(status: int) -> None:
    async with RawPanel(answer()) as elsewhere:
        act = answer(status=status, headers=f"Location: {elsewhere.url}\r\n")
        async with RawPanel(act) as panel:
            for action in ("add", "balance"):
                fault = await failure(panel.url, action)
                assert type(fault) is Unanswered
    assert elsewhere.connections == 0
