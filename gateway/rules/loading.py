"""The rules file from bytes to `Rules`: whole, or not at all and with every mistake in it."""

from collections.abc import Collection, Mapping
from decimal import Decimal
from hashlib import sha256
from pathlib import Path as File
from typing import Final

import msgspec

from gateway.rules.findings import warn
from gateway.rules.fitting import fit
from gateway.rules.keys import hide_keys
from gateway.rules.marked import Node, Table, read
from gateway.rules.model import Rules
from gateway.rules.panels import check_currency, is_currency, panel
from gateway.rules.reading import Reading
from gateway.rules.report import Mistake, Report, RulesError, shown
from gateway.rules.scopes import account, category, expectation, panels, policy, share
from gateway.rules.services import publish, service
from gateway.rules.shapes import ExpectShape, PublishShape, RulesShape
from providers import PROVIDERS

SIZE: Final = 2**20
"""The largest rules file, bytes."""


def load(path: File | str, environ: Mapping[str, str], dialects: Collection[str] = PROVIDERS) -> Rules:
    """Read the rules at `path`; references to keys are looked up in `environ` and in files.

    Raises:
        RulesError: with all mistakes; the file could not be used, nothing of it is.
    """
    try:
        with File(path).open("rb") as file:
            content = file.read(SIZE + 1)
    except OSError as wrong:
        raise _unusable(str(path), f"cannot be read: {wrong.strerror}") from None
    return parse(content, str(path), environ, dialects)


def parse(content: bytes, name: str, environ: Mapping[str, str], dialects: Collection[str] = PROVIDERS) -> Rules:
    """The rules in `content`; `name` stands before every mistake.

    Raises:
        RulesError: with all mistakes.
    """
    if len(content) > SIZE:
        raise _unusable(name, f"is larger than {SIZE} bytes")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as wrong:
        line = content[: wrong.start].count(b"\n") + 1
        raise _unusable(name, f"is not UTF-8: byte 0x{content[wrong.start]:02x} in line {line}") from None
    report = Report(name, text)
    rules = _read(text, report, environ, dialects)
    error = report.error()
    if error is not None:
        raise error
    if rules is None:
        raise AssertionError("a file that gives no rules has a mistake")
    return msgspec.structs.replace(rules, version=version_of(content), warnings=report.warnings())


def version_of(content: bytes) -> str:
    """The version of a rules file."""
    return sha256(content).hexdigest()[:16]


def _unusable(name: str, text: str) -> RulesError:
    return RulesError((Mistake(file=name, line=0, column=0, path="", text=text),))


def _read(text: str, report: Report, environ: Mapping[str, str], dialects: Collection[str]) -> Rules | None:
    """The rules, sound only while the report has no mistake."""
    tree = read(text, report)
    if tree is None:
        return None
    hide_keys(tree, report)
    shape = fit(tree, RulesShape, (), report)
    if not isinstance(shape, RulesShape):
        return None
    names = _keys(tree, "panels")
    reading = Reading(tree=tree, report=report, environ=environ, dialects=dialects, panels=names)
    if not names:
        reading.mistake(("panels",), "is empty; there is nobody to buy from")
    rules = _rules(shape, reading)
    _check_exchange(shape, reading)
    warn(rules, reading)
    return rules


def _rules(shape: RulesShape, reading: Reading) -> Rules:
    found = {name: panel(written, ("panels", name), reading) for name, written in shape.panels.items()}
    lists: tuple[object, ...] = shape.publish
    expected: tuple[object, ...] = shape.expect
    return Rules(
        panels={name: panel for name, panel in found.items() if panel is not None},
        currency=shape.currency,
        exchange={code: Decimal(amount) for code, amount in shape.exchange.items()},
        exchange_buffer=share(shape.exchange_buffer, ("exchange_buffer",), reading),
        policy=policy(shape.policy, ("policy",), reading),
        margin=share(shape.margin, ("margin",), reading),
        min_margin=share(shape.min_margin, ("min_margin",), reading),
        max_rate=None if shape.max_rate is None else Decimal(shape.max_rate),
        never=panels(shape.never, ("never",), reading),
        rate_from=shape.rate_from,
        subscription_posts=shape.subscription_posts,
        complete=shape.complete,
        complete_panels=shape.complete_panels,
        one_active=shape.one_active,
        split=shape.split,
        wait_s=shape.wait_s,
        categories=tuple(
            category(glob, written, ("categories", glob), reading) for glob, written in shape.categories.items()
        ),
        accounts={name: account(written, ("accounts", name), reading) for name, written in shape.accounts.items()},
        services={id: service(written, ("services", str(id)), reading) for id, written in shape.services.items()},
        publish=tuple(
            publish(written, ("publish", number), reading)
            for number, written in enumerate(lists)
            if isinstance(written, PublishShape)
        ),
        expect=tuple(
            expectation(written, ("expect", number), reading)
            for number, written in enumerate(expected)
            if isinstance(written, ExpectShape)
        ),
    )


def _check_exchange(shape: RulesShape, reading: Reading) -> None:
    """Every currency that a panel bills in must be worth something in ours."""
    for code, amount in shape.exchange.items():
        path = ("exchange", code)
        check_currency(code, path, reading)
        if Decimal(amount) <= 0:
            reading.mistake(path, f"{shown(amount)} is not above 0")
        elif code == shape.currency and Decimal(amount) != 1:
            reading.mistake(path, f"is the currency itself: one {code} is one {code}")
    if not check_currency(shape.currency, ("currency",), reading):
        return
    known: set[str] = {shape.currency, *_keys(reading.tree, "exchange")}
    for name, written in shape.panels.items():
        if is_currency(written.currency) and written.currency not in known:
            reading.mistake(
                ("panels", name, "currency"),
                f"exchange does not say what one {written.currency} is worth in {shape.currency}",
            )


def _keys(tree: Node, word: str) -> tuple[str, ...]:
    """The keys of a block at the top of the file, whatever is wrong with their values."""
    block = tree.entries[word].node if isinstance(tree, Table) and word in tree.entries else None
    return tuple(block.entries) if isinstance(block, Table) else ()
