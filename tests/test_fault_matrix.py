"""The table of faults is whole, and the tests that it names are there."""

import ast
from functools import cache
from pathlib import Path
from typing import Final

import pytest

from tests.fault_matrix import DEFECTS, MATRIX, Row

TESTS: Final = Path(__file__).parent
ROWS: Final = 80
MONEY: Final = frozenset({"charge", "cost", "rate", "balance", "refunded", "funds", "margin", "taken", "amount"})


@cache
def _names(file: Path) -> frozenset[str]:
    return frozenset(
        node.name
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )


def _file(named: str) -> Path:
    """transport/faults → tests/test_transport/test_faults.py; simulator is no folder of tests alone."""
    *folders, file = named.split("/")
    path = TESTS
    for folder in folders:
        path /= folder if folder == "simulator" else f"test_{folder}"
    return path / f"test_{file}.py"


def test_every_fault_has_its_row() -> None:
    assert len(MATRIX) == ROWS
    assert len({row.fault for row in MATRIX}) == ROWS


@pytest.mark.parametrize("row", [*MATRIX, *DEFECTS], ids=lambda row: row.fault)
def test_a_fault_is_met_by_tests_that_are_there(row: Row) -> None:
    assert row.tests or row.missing
    for named in row.tests:
        file, _, name = named.partition("::")
        assert f"test_{name}" in _names(_file(file)), f"{row.fault}: {named}: no such test"


def test_every_defect_has_its_row() -> None:
    assert len({row.fault for row in DEFECTS}) == len(DEFECTS) == 11
    assert all(row.tests for row in DEFECTS)


@pytest.mark.parametrize("path", sorted((TESTS.parent / "gateway").rglob("*.py")), ids=lambda path: path.stem)
def test_no_amount_is_a_float(path: Path) -> None:
    """No field or argument that is named like money is annotated as a float."""
    for node in ast.walk(ast.parse(path.read_text())):
        name, note = "", None
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            name, note = node.target.id, node.annotation
        elif isinstance(node, ast.arg):
            name, note = node.arg, node.annotation
        if name in MONEY and note is not None:
            assert "float" not in ast.unparse(note), f"{path}: {name}"
