"""The architecture as a test: imports point down, typing imports included, and files keep a size one can read."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

LAYERS: list[set[str]] = [
    {"gateway.__main__"},
    {"gateway.cli"},
    {"gateway.server", "gateway.reloading"},
    {"gateway.app"},
    {"gateway.api_v2"},
    {"gateway.orders", "gateway.reconcile", "gateway.nodes"},
    {"gateway.placing"},
    {"gateway.evidence"},
    {"gateway.catalog", "gateway.accounts", "gateway.admission", "gateway.door", "gateway.writable"},
    {"gateway.circuits"},
    {"gateway.panels"},
    {"gateway.rules"},
    {"gateway.ledger", "gateway.shared", "gateway.failover"},
    {"gateway.routing"},
    {"gateway.conditions"},
    {
        "gateway.money",
        "gateway.errors",
        "gateway.settings",
        "gateway.health",
        "gateway.logs",
        "gateway.metrics",
        "gateway.turns",
    },
    {"gateway.redis_url", "gateway.together"},
    {"providers"},
]
"""From the street down to the cellar. A file may import from lower layers and from its own folder."""

FUNCTION_LINES = 60
FILE_LINES = 400


def _modules() -> Iterator[tuple[str, Path]]:
    for path in sorted([*ROOT.glob("gateway/**/*.py"), *ROOT.glob("providers/**/*.py")]):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        yield name.removesuffix(".__init__"), path


MODULES = dict(_modules())


def _room(module: str) -> str:
    """gateway.ledger.sqlite.orders → gateway.ledger; all of providers is one room here."""
    return "providers" if module.split(".", maxsplit=1)[0] == "providers" else ".".join(module.split(".")[:2])


def _imports(path: Path) -> Iterator[str]:
    """Every one of our modules a file names in an import, wherever it stands."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [name if name in MODULES else str(node.module) for name in names]
        else:
            continue
        yield from (name for name in names if name.split(".")[0] in {"gateway", "providers", "tests"})


def _floor(room: str) -> int | None:
    return next((floor for floor, rooms in enumerate(LAYERS) if room in rooms), None)


@pytest.mark.parametrize("module", [name for name in MODULES if name != "gateway"])
def test_a_file_imports_only_from_below(module: str) -> None:
    room = _room(module)
    mine = _floor(room)
    assert mine is not None, f"{room} has no floor in LAYERS"
    for name in _imports(MODULES[module]):
        other = _room(name)
        theirs = _floor(other)
        assert theirs is not None, f"{module} imports {name}, which has no floor"
        assert other == room or theirs > mine, f"{module} may not import {name}: it stands above it"


def test_no_import_goes_in_a_circle() -> None:
    graph = {name: {other for other in _imports(path) if other != name} for name, path in MODULES.items()}
    done: set[str] = set()

    def walk(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " → ".join((*trail, name))
        if name not in done:
            for other in graph.get(name, ()):
                walk(other, (*trail, name))
            done.add(name)

    for name in graph:
        walk(name, ())


@pytest.mark.parametrize("module", MODULES)
def test_files_and_functions_keep_a_size_one_can_read(module: str) -> None:
    text = MODULES[module].read_text()
    assert text.count("\n") <= FILE_LINES, f"{module}: make it a folder of the same name"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            size = (node.end_lineno or 0) - node.lineno + 1
            assert size <= FUNCTION_LINES, f"{module}.{node.name}: {size} lines"


@pytest.mark.parametrize("module", MODULES)
def test_every_file_says_what_it_is_for(module: str) -> None:
    assert ast.get_docstring(ast.parse(MODULES[module].read_text())), f"{module} opens without a sentence"


def test_nothing_that_ships_needs_the_tests() -> None:
    for module, path in MODULES.items():
        assert not any(name.startswith("tests") for name in _imports(path)), module


def test_names_say_something() -> None:
    empty = {"util", "utils", "helper", "helpers", "common", "misc", "manager", "handler", "handlers"}
    for module in MODULES:
        assert not empty & set(module.split(".")), module
