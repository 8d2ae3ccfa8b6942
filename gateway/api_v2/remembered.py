"""How orders stood when they were last asked about: what `status` answers while the ledger cannot be read."""

from collections.abc import Mapping, Sequence
from typing import Final, Generic, TypeVar

V = TypeVar("V")

MOST: Final = 50_000
"""Orders that are remembered, some 400 bytes each: those that were asked about last."""


class Remembered(Generic[V]):
    """Rows by order, each for the account that it was shown to."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._rows: dict[int, tuple[int, V]] = {}

    def keep(self, account: int, rows: Mapping[int, V]) -> None:
        for id, row in rows.items():
            self._rows.pop(id, None)
            self._rows[id] = (account, row)
        while len(self._rows) > self._most:
            del self._rows[next(iter(self._rows))]

    def all(self, account: int, ids: Sequence[int]) -> Mapping[int, V] | None:
        """The rows of all these orders, or None: one that is missing might be there, and might not."""
        found = {}
        for id in ids:
            whose, row = self._rows.get(id, (None, None))
            if whose != account or row is None:
                return None
            found[id] = row
        return found
