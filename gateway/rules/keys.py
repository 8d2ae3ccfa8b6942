"""Keys of panels: references to them in the file, never the keys, and nothing that may be one in what people read."""

import re
from collections.abc import Mapping
from pathlib import Path as File
from typing import Final

from gateway.rules.marked import Leaf, Listing, Node
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
        if _is_suspect(path, node.text):
            report.hide(node.place, node.end)
    elif isinstance(node, Listing):
        for item in node.items:
            hide_keys(item, report, path)
    else:
        for word, entry in node.entries.items():
            if _is_telling(path):
                report.hide(entry.key, entry.key)
            hide_keys(entry.node, report, (*path, word))
        for word, dropped in node.dropped:
            hide_keys(dropped, report, (*path, word))


def _is_suspect(path: tuple[str, ...], text: str) -> bool:
    """Whether `text` at `path` may be a key rather than a reference to one."""
    if _IN_ENVIRONMENT.fullmatch(text) or _IN_FILE.fullmatch(text):
        return False
    if path[:1] != ("panels",):
        return _is_telling(path)
    if path[2:] == ("url",):
        return "@" in text
    return not (len(path) == 3 and path[2] in _PLAIN)


def _is_telling(path: tuple[str, ...]) -> bool:
    words = path[2:] if path[:1] == ("panels",) else path  # the second is the panel's name
    return any(TELLING.search(word) for word in words)
