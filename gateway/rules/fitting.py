"""Marked values as the shapes of the rules file: every value that does not fit is a mistake, and the rest goes on."""

import re
from contextlib import suppress
from enum import Enum
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Union, get_args, get_origin

import msgspec
from msgspec import UNSET

from gateway.rules.marked import Leaf, Listing, Node, Table
from gateway.rules.report import Path, Report, nearest, shown

_WHOLE: Final = re.compile(r"[1-9][0-9]{0,17}")


class _Kind(msgspec.Struct, frozen=True):
    """A type taken apart: what of it a block, a list and a single value may be."""

    shape: type[msgspec.Struct] | None
    table: Any
    items: Any
    scalars: tuple[Any, ...]
    may_be_empty: bool


def fit(node: Node, kind: Any, path: Path, report: Report) -> Any:
    """What `node` says, as a `kind`: a struct, dict, tuple, scalar or union of them; UNSET where it does not fit."""
    is_a = _taken_apart(kind)
    if isinstance(node, Leaf) and node.value is None:
        if is_a.may_be_empty:
            return None
        # A key whose lines are all commented out is an empty block.
        if is_a.shape or is_a.table:
            node = Table(place=node.place, entries={}, weight=1)
        elif is_a.items:
            node = Listing(place=node.place, items=(), weight=1)
    if isinstance(node, Table) and is_a.shape is not None:
        return _struct(node, is_a.shape, path, report)
    if isinstance(node, Table) and is_a.table is not None:
        return _dict(node, is_a.table, path, report)
    if isinstance(node, Listing) and is_a.items is not None:
        # An item that does not fit stays as UNSET, so that those after it keep their numbers.
        return tuple([fit(item, get_args(is_a.items)[0], (*path, n), report) for n, item in enumerate(node.items)])
    if isinstance(node, Leaf) and is_a.scalars:
        return _scalar(node, is_a.scalars, path, report)
    blocks = "keys and values" if is_a.shape or is_a.table else _words(is_a.scalars)
    report.mistake(node.place, path, f"must be {'a list, one - a line' if is_a.items else blocks}")
    return UNSET


@cache
def _taken_apart(kind: Any) -> _Kind:
    kinds = _options(kind)
    shape = next((k for k in kinds if isinstance(k, type) and issubclass(k, msgspec.Struct)), None)
    items = next((k for k in kinds if get_origin(k) is tuple), None)
    table = next((k for k in kinds if get_origin(k) is dict), None)
    scalars = tuple(k for k in kinds if k not in {shape, items, table, NoneType})
    return _Kind(shape, table, items, scalars, NoneType in kinds)


def _struct(table: Table, shape: type[msgspec.Struct], path: Path, report: Report) -> Any:
    fields = _fields(shape)
    values: dict[str, Any] = {}
    for word, entry in table.entries.items():
        if word not in fields:
            report.mistake(entry.key, (*path, word), f"no such key here{nearest(word, fields, plural='keys')}")
        elif (value := fit(entry.node, fields[word].type, (*path, word), report)) is not UNSET:
            values[fields[word].name] = value
    missing = [word for word, field in fields.items() if field.required and word not in table.entries]
    for word in missing:
        report.mistake(table.place, (*path, word), "is missing")
    if any(field.required and field.name not in values for field in fields.values()):
        return UNSET
    return shape(**values)


def _dict(table: Table, kind: Any, path: Path, report: Report) -> dict[Any, Any]:
    key_kind, value_kind = get_args(kind)
    values: dict[Any, Any] = {}
    for word, entry in table.entries.items():
        inside = (*path, word)
        value = fit(entry.node, value_kind, inside, report)
        key = _converted(int(word), (key_kind,)) if _WHOLE.fullmatch(word) else UNSET
        key = _converted(word, (key_kind,)) if key is UNSET else key  # a name may be a number
        if key is UNSET:
            report.mistake(entry.key, inside, f"{shown(word)} is not {_words((key_kind,))}")
            continue
        if value is not UNSET:
            values[key] = value
    return values


def _scalar(leaf: Leaf, kinds: tuple[Any, ...], path: Path, report: Report) -> Any:
    value = _converted(leaf.value, kinds)
    if value is not UNSET:
        return value
    words = _words(kinds)
    if leaf.value is None:
        text = f"is left empty; write {words}, or leave the key out"
    elif report.is_hidden(leaf.place):
        text = f"what stands here is not {words}"
    elif not isinstance(leaf.value, str) and _converted(leaf.text, kinds) is not UNSET:
        text = f'{leaf.text} must be in quotes: "{leaf.text}"'
    else:
        text = f"{shown(leaf.value)} is not {words}{nearest(leaf.text, _choices(kinds))}"
    report.mistake(leaf.place, path, text)
    return UNSET


def _converted(value: object, kinds: tuple[Any, ...]) -> Any:
    for kind in kinds:
        with suppress(msgspec.ValidationError):
            return msgspec.convert(value, kind)
    return UNSET


def _options(kind: Any) -> tuple[Any, ...]:
    """The members of a union, an annotation around a list or table taken off."""
    if get_origin(kind) in {Union, UnionType}:
        return tuple(option for member in get_args(kind) for option in _options(member))
    if get_origin(kind) is Annotated and get_origin(get_args(kind)[0]) in {tuple, dict}:
        return (get_args(kind)[0],)
    return (kind,)


def _words(kinds: tuple[Any, ...]) -> str:
    """What a value of these kinds is, for people."""
    if bool in kinds:
        return "true or false"
    if choices := _choices(kinds):
        return f"one of {', '.join(choices)}"
    metas = [meta for kind in kinds for meta in get_args(kind)[1:] if isinstance(meta, msgspec.Meta)]
    return " or ".join(meta.description for meta in metas if meta.description)


def _choices(kinds: tuple[Any, ...]) -> list[str]:
    return [str(choice.value) for kind in kinds if isinstance(kind, type) and issubclass(kind, Enum) for choice in kind]


@cache
def _fields(shape: type[msgspec.Struct]) -> dict[str, msgspec.structs.FieldInfo]:
    return {field.encode_name: field for field in msgspec.structs.fields(shape)}
