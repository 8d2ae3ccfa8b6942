"""Our key goes to the panel and nowhere else."""

import logging

import pytest

from providers.errors import ProviderError, Unanswered
from providers.transport.key import Key
from providers.transport.reply import reply
from tests.raw_panel import RawPanel, answer, raw
from tests.test_transport.calling import KEY, ORDER, failure, transport

pytestmark = pytest.mark.anyio


ECHOES = {
    "plain": KEY,
    "in a url": "c4nary%2FSecret%2BKey",
    "in JSON": "c4nary\\/Secret+Key",
}


@pytest.mark.parametrize("writing", ECHOES)
@pytest.mark.parametrize("status", [200, 429, 403, 502])
async def test_a_key_that_the_panel_gives_back_goes_no_further(
    writing: str, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    body = f'{{"error": "no such key {ECHOES[writing]}"}}'
    async with RawPanel(answer(body, status=status)) as panel, transport(panel.url) as line:
        try:
            got = await line.send("add", ORDER)
        except ProviderError as fault:
            said = repr((fault, fault.args, vars(fault), fault.__cause__))
        else:
            said = repr((got, got.body))
        said += repr(line) + repr(vars(line)) + caplog.text
    assert "c4nary" not in said
    assert "no such key [key]" in said


async def test_a_key_in_the_words_of_a_lower_error_goes_no_further() -> None:
    async with RawPanel(raw(f"HTTP/1.1 {KEY}\r\n\r\n".encode())) as panel:
        fault = await failure(panel.url)
    assert type(fault) is Unanswered
    assert fault.__cause__ is None
    assert fault.__suppress_context__
    assert KEY not in repr((fault, fault.args, vars(fault)))


def test_a_short_key_does_not_blot_the_words_around_it() -> None:
    assert Key("k").struck(b"Incorrect link") == b"Incorrect link"
    assert repr(Key(KEY)) == "Key([key])"


def test_an_excerpt_is_one_short_line_that_steers_no_terminal() -> None:
    said = Key(KEY).excerpt(b"\x1b[31mred\r\nline \xe2\x80\xae two\x00" + b"x" * 1000)
    assert said.startswith("[31mred line two x")
    assert len(said) == 300
    assert said.isprintable()


async def test_evidence_tells_how_long_the_call_took() -> None:
    ticks = iter([10.0, 12.5])
    async with RawPanel(raw(b"")) as panel:
        fault = await failure(panel.url, clock=lambda: next(ticks))
    assert fault.evidence["ms"] == 2500


def test_a_reply_does_not_show_its_body() -> None:
    assert repr(reply(200, {}, b"secret")) == "Reply(status=200, body=6 bytes)"


@pytest.mark.parametrize(
    "text",
    [
        "".join(f"\\u{ord(letter):04X}" for letter in KEY),
        "".join(f"\\\\u{ord(letter):04x}" for letter in KEY),
        "".join(f"%{ord(letter):02X}" for letter in KEY),
        "".join(f"&#{ord(letter)};" for letter in KEY),
        "".join(f"&#x{ord(letter):x};" for letter in KEY),
        "\\u0063" + KEY[1:].replace("/", "\\/"),
    ],
)
def test_a_key_is_struck_whatever_its_letters_are_written_as(text: str) -> None:
    key = Key(KEY)
    assert key.struck_text(f"no {text}!") == "no [key]!"
    assert key.excerpt(f"no {text}!".encode()) == "no [key]!"
    assert key.struck_document({text: [{"a": text}, 1, None]}) == {"[key]": [{"a": "[key]"}, 1, None]}


def test_a_document_deeper_than_any_is_cut_and_not_lost() -> None:
    deep: object = "x"
    for _ in range(5000):
        deep = [deep]
    assert Key(KEY).struck_document({"order": 5, "deep": 1}) == {"order": 5, "deep": 1}
    found = Key(KEY).struck_document({"order": 5, "deep": deep})
    assert isinstance(found, dict)
    assert found["order"] == 5
