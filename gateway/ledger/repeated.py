"""Requests that come again: what the ledger knows of the one before."""

import msgspec


class Recent(msgspec.Struct, frozen=True, kw_only=True):
    """An order placed a moment ago, for a request that comes again because its answer was lost."""

    order: int
    account: int
    fingerprint: bytes
    created_ms: int


class Twin(msgspec.Struct, frozen=True, kw_only=True):
    """When an identical order of another node is the one that is meant.

    Attributes:
        unheard_ms: it is no older, and its answer was not heard.
        any_ms: it is no older, heard or not; 0 = that does not matter.
        refuses: there is to be none beside one that has not ended.
    """

    unheard_ms: int
    any_ms: int = 0
    refuses: bool = False
