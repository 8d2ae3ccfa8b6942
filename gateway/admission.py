"""Whether a call may be made at all: by this key, from this address, now. What the rules say of its account decides."""

from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from typing import Final

import structlog

from gateway.errors import NotAllowed, TooMany, WrongKey
from gateway.ledger.records import Account, Key
from gateway.rules.model import AccountRules
from providers.pace import OwnTurns, Turns, rate

_log = structlog.get_logger()

ACTIONS: Final = ("services", "add", "status", "refill", "refill_status", "cancel", "balance")
"""What a key may be let do."""

_TOLD: Final = 1000  # accounts and addresses that are told of once


class Admission:
    """Goes by `accounts`, the rules of those accounts of which they say anything; `turns` counts their calls."""

    def __init__(self, accounts: Mapping[str, AccountRules], turns: Turns | None = None) -> None:
        self.accounts = accounts
        self._turns = OwnTurns() if turns is None else turns
        self._told: set[tuple[str, str]] = set()

    async def admit(self, key: Key, account: Account, action: str, address: str | None) -> None:
        """Nothing, if the call may be made.

        Raises:
            WrongKey: not from this address; it looks as if there were no such key.
            NotAllowed: the key may not do this.
            TooMany: the account calls more often than its rules let it.
        """
        if key.actions and action not in key.actions:
            raise NotAllowed
        own = self.accounts.get(account.name)
        if own is None:
            return
        if own.addresses and not _is_from(address, own.addresses):
            self._tell(account.name, address or "")
            raise WrongKey
        if own.rate_limit is not None and await self._turns.take(f"account:{account.name}", rate(own.rate_limit)):
            raise TooMany

    def _tell(self, account: str, address: str) -> None:
        if (account, address) not in self._told and len(self._told) < _TOLD:
            self._told.add((account, address))
            _log.warning("address", account=account, address=address, outcome="not_admitted")


def _is_from(address: str | None, networks: tuple[str, ...]) -> bool:
    try:
        caller = ip_address(address or "")
    except ValueError:
        return False
    mapped = getattr(caller, "ipv4_mapped", None) or caller
    return any(mapped in ip_network(network) for network in networks)
