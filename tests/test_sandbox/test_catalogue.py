"""Catalogues: served as they stand, read leniently, generated from a seed."""

import json
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from providers.sandbox import Catalogue, Sandbox, generate, load
from providers.service_types import TYPES
from tests.test_sandbox.shop import KEY, ROWS, Clock

ODD = '{"service": "7","name":"\\ud83d\\udd25 ","type":"custom_comments","rate":0.10,"min":5,"max":"2 147 483 647"}'


FIELDS = ["service", "name", "type", "category", "rate", "min", "max", "dripfeed", "refill", "cancel"]


@pytest.mark.parametrize(
    "text",
    [
        f"[{ODD}]",
        f'{{"status":"success","data":[{ODD}]}}',
        f'{{"services": [{ODD}]}}',
        f'{{"value":[{ODD}],"Count":1}}',
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_file_is_served_row_by_row_as_it_stands(tmp_path: Path, text: str, encoding: str) -> None:
    path = tmp_path / "services.json"
    path.write_text(text, encoding)
    catalogue = load(path)
    assert catalogue.body.decode() == f"[{ODD}]"
    listing = catalogue.listings["7"]
    assert (listing.type, listing.rate, listing.min, listing.max) == ("Custom Comments", Decimal("0.10"), 5, 2**31 - 1)
    assert (listing.refill, listing.cancel, listing.dripfeed) == (False, False, True)


@pytest.mark.parametrize("text", ["<html>", '{"error":"no"}', '{"data":"Empty Data"}', ""])
def test_a_file_without_a_list_is_refused_by_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / "services.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"services\.json: no list of services"):
        load(path)


@pytest.mark.parametrize(
    ("field", "value", "read"),
    [
        ("rate", "1 234,50", Decimal("1234.50")),
        ("rate", "1,234.50", Decimal("1234.50")),
        ("rate", 3, Decimal(3)),
        ("rate", "9999999999999.00", Decimal("9999999999999.00")),
        ("min", "50.0", 50),
        ("min", None, 1),
        ("max", "no limit", 2_147_483_647),
        ("refill", 1, True),
        ("refill", "true", True),
        ("refill", 0, False),
        ("cancel", "0", False),
        ("dripfeed", "1", True),
        ("type", "High Quality", "Default"),
        ("type", None, "Default"),
    ],
)
def test_fields_are_read_leniently(field: str, value: object, read: object) -> None:
    catalogue = Catalogue.of([{**ROWS[0], field: value}])
    assert getattr(catalogue.listings["1"], field) == read


@pytest.mark.parametrize("row", ['{"name":"no id"}', '{"service":1,"rate":"free"}', '{"service":1,"rate":"-1"}', "[1]"])
def test_a_row_that_cannot_be_read_is_served_and_not_sold(tmp_path: Path, row: str) -> None:
    path = tmp_path / "services.json"
    path.write_text(f"[{row}]")
    catalogue = load(path)
    assert catalogue.body.decode() == f"[{row}]"
    assert not catalogue.listings
    catalogue.priced(Decimal(2)) if row != "[1]" else None
    panel = Sandbox("alpha", key=KEY, catalogue=catalogue, clock=Clock())
    assert panel.ask("add", service="1", link="x", quantity="1") == {"error": "Incorrect service ID"}


def test_of_equal_ids_the_first_is_sold() -> None:
    catalogue = Catalogue.of([ROWS[0], {**ROWS[0], "rate": "9.00"}])
    assert len(catalogue.rows) == 2
    assert catalogue.listings["1"].rate == 2


def test_a_catalogue_changes_by_price_by_row_and_by_half() -> None:
    catalogue = Catalogue.of([ROWS[0], {"service": "b", "rate": Decimal("0.5"), "canceling_is_available": True}])
    rows: Any = json.loads(catalogue.priced(Decimal("1.1")).body)
    assert (rows[0]["rate"], rows[1]["rate"]) == ("2.2000", 0.55)
    assert catalogue.listings["b"].cancel
    changed = catalogue.changed("b", rate="7", name=None)
    assert (changed.listings["b"].rate, changed.listings["1"].rate) == (Decimal(7), Decimal(2))
    assert list(catalogue.without("1").listings) == ["b"]
    assert list(catalogue.halved().listings) == ["1"]


def test_a_panel_sells_what_its_catalogue_says_now() -> None:
    panel = Sandbox("alpha", key=KEY, catalogue=ROWS, clock=Clock())
    panel.catalogue = panel.catalogue.priced(Decimal(10))
    panel.ask("add", service="1", link="x", quantity="1000")
    assert panel.charged == 20
    panel.catalogue = []
    assert panel.ask("services") is not None
    assert panel.catalogue.body == b"[]"
    assert panel.ask("add", service="1", link="x", quantity="1000") == {"error": "Incorrect service ID"}


@pytest.mark.parametrize("quirks", [False, True])
def test_a_seed_gives_the_same_catalogue_again(quirks: bool) -> None:
    assert generate(3, 200, quirks=quirks) == generate(3, 200, quirks=quirks)
    assert generate(3, 200, quirks=quirks) != generate(4, 200, quirks=quirks)


def test_a_plain_catalogue_is_written_as_the_documents_have_it() -> None:
    rows: Any = json.loads(generate(3, 500, quirks=False).body)
    assert [row["service"] for row in rows] == list(range(1, 501))
    for row in rows:
        assert list(row) == FIELDS
        assert all(isinstance(row[field], str) for field in ("name", "rate", "min", "max"))
        assert row["name"] == row["name"].strip()
        assert row["name"].isascii()
        assert Decimal(row["rate"]) > 0
        assert int(row["min"]) <= int(row["max"])


def test_types_come_in_the_shares_of_the_field() -> None:
    types = Counter(row.listing.type for row in generate(1, 5000, quirks=False).rows if row.listing)
    assert 0.84 < types["Default"] / 5000 < 0.89
    assert set(types) == set(TYPES)


def test_quirks_are_those_of_the_field() -> None:
    names, headings, shapes = Counter[str](), 0, set()
    for seed in range(20):
        rows: Any = json.loads(generate(seed, 200).body)
        shapes |= {(type(row["service"]), type(row["min"]), type(row["rate"])) for row in rows}
        assert len({str(row["service"]) for row in rows}) == 200
        for row in rows:
            name, is_heading = row["name"], Decimal(row["rate"]) in {0, Decimal(9999999999999)}
            headings += is_heading
            assert not is_heading or int(row["min"]) == int(row["max"]) == 1
            names["emoji"] += not name.isascii()
            names["entity"] += "&amp;" in name
            names["space"] += name != name.strip()
            names["tab"] += "\t" in name
            names["id"] += name.startswith(f"{row['service']}. ")
            names["style"] += "\U0001d400" <= max(name) <= "\U0001d433"
            names["max"] += int(row["max"]) == 2_147_483_647
    assert 40 < headings < 140
    assert {kind for kind, times in names.items() if times > 10} == set(names)
    assert 0.6 < names["emoji"] / 4000 < 0.9
    assert len(shapes) > 3


def test_rates_follow_the_currency() -> None:
    def worth(currency: str) -> Decimal:
        return sum(
            (row.rate for row in generate(1, 500, currency=currency, quirks=False).listings.values()), Decimal(0)
        )

    assert 40 < worth("RUB") / worth("USD") < 200
    assert worth("XAU") > 0
