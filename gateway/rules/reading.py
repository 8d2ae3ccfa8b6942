"""What one reading of one rules file stands on, shared by all that check a part of it."""

from collections.abc import Collection, Mapping

import msgspec

from gateway.rules.marked import Node, place_of
from gateway.rules.report import Path, Report


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """Where mistakes go, and what names are held against.

    Attributes:
        panels: their names, those of panels with mistakes among them.
    """

    tree: Node
    report: Report
    environ: Mapping[str, str]
    dialects: Collection[str]
    panels: Collection[str]

    def mistake(self, path: Path, text: str) -> None:
        self.report.mistake(place_of(self.tree, path), path, text)

    def warning(self, path: Path, text: str) -> None:
        self.report.warning(place_of(self.tree, path), path, text)
