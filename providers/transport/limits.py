"""How long a panel may take and how much it may say."""

from typing import Final

import msgspec

from providers.base import Action


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """The bounds of one panel's calls. Seconds end in `_s`; the rest are bytes of an answer, unpacked.

    Attributes:
        wait_s: for a permit, before anything is sent.
        connect_s: one address: TCP and TLS.
        reach_s: the name, all its addresses, TLS.
        give_up_s: bytes sent and not acknowledged: the kernel drops them and the connection.
        add_s, list_s, read_s: from the first byte sent to the last one read: `add`, `services`, the rest.
        idle_s: a connection that rested longer is not used again: the panel may be closing it just then.
        catalogue, many, small: `services`, the two statuses, the rest.
    """

    wait_s: float = 5.0
    connect_s: float = 5.0
    reach_s: float = 10.0
    give_up_s: float = 20.0
    add_s: float = 120.0
    list_s: float = 120.0
    read_s: float = 20.0
    idle_s: float = 1.0
    catalogue: int = 32 * 1024 * 1024
    many: int = 1024 * 1024
    small: int = 64 * 1024

    def answer_s(self, action: Action) -> float:
        return {"add": self.add_s, "services": self.list_s}.get(action, self.read_s)

    def silence_s(self, action: Action) -> float:
        """How long a panel may say nothing at all."""
        return self.add_s if action == "add" else self.read_s

    def size(self, action: Action) -> int:
        return {"services": self.catalogue, "status": self.many, "refill_status": self.many}.get(action, self.small)


class Retries:
    """How many calls to a panel may be made again: a tenth of those made, and ten to begin with.

    A panel that fails every call would otherwise be called three times as often as one that does not.
    """

    SHARE: Final = 0.1
    MOST: Final = 10.0

    def __init__(self) -> None:
        self._left = self.MOST

    def called(self) -> None:
        """A call is made for the first time."""
        self._left = min(self._left + self.SHARE, self.MOST)

    def spend(self) -> bool:
        """Take one retry, if there is one left."""
        if self._left < 1:
            return False
        self._left -= 1
        return True
