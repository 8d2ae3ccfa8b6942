"""Keys of panels: references to them in the file, never the keys, and nothing that may be one in what people read."""

import re
from collections.abc import Mapping
from pathlib import Path as File
from typing import Final

from gateway.rules.marked import Leaf, Listing, Node, Table
from gateway.rules.report import TELLING, Report
from gateway.rules.shapes import PanelShape

_IN_ENVIRONMENT: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_IN_FILE: Final = re.compile(r"\$\{file:(/[^}]+)\}")
_PLAIN: Final = frozenset(PanelShape.__struct_fields__) - {"key"}
_SIZE: Final = 4096  # bytes of a file that holds one key


class NoKey(ValueError):
    """A reference that leads to no key; the text says why, and holds neither."""


def resolve(reference: str, environ: Mapping[str, str]) -> str:
    """The key that `${NAME}` or `${file:/path}` stands for.

    Raises:
        NoKey: it stands for none.
    """
    if named := _IN_ENVIRONMENT.fullmatch(reference):
        key, origin = environ.get(named[1]), f"environment variable {named[1]}"
        if key is None:
            raise NoKey(f"{origin} is not set")
    elif filed := _IN_FILE.fullmatch(reference):
        origin = f"file {filed[1]}"
        try:
            with File(filed[1]).open("rb") as content:
                key = content.read(_SIZE).decode().rstrip("\r\n")
        except OSError as wrong:
            raise NoKey(f"{origin} cannot be read: {wrong.strerror}") from None
        except UnicodeDecodeError:
            raise NoKey(f"{origin} is not text") from None
    else:
        raise NoKey("is not a reference to a key; write ${NAME} for the environment, or ${file:/path}")
    if not key:
        raise NoKey(f"{origin} is empty")
    if not key.isprintable():
        raise NoKey(f"{origin} holds a line break or another character that no key has")
    return key


def hide_keys(node: Node, report: Report, path: tuple[str, ...] = ()) -> None:
    """Keep out of the report what stands where a key, or something meant to be one, may stand."""
    if isinstance(node, Leaf):
        if _may_be_key(node, path):
            report.hide(node.place, node.end)
    elif isinstance(node, Listing):
        for item in node.items:
            hide_keys(item, report, path)
    elif isinstance(node, Table):
        for word, entry in node.entries.items():
            hide_keys(entry.node, report, (*path, word))
        for word, dropped in node.dropped:
            hide_keys(dropped, report, (*path, word))


def _may_be_key(leaf: Leaf, path: tuple[str, ...]) -> bool:
    if _IN_ENVIRONMENT.fullmatch(leaf.text) or _IN_FILE.fullmatch(leaf.text):
        return False
    in_panel = path[:1] == ("panels",)
    words = path[2:] if in_panel else path  # the second is the panel's name
    if any(TELLING.search(word) for word in words):
        return True
    if words == ("url",):
        return "@" in leaf.text
    return in_panel and not (len(words) == 1 and words[0] in _PLAIN)
