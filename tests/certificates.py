"""A certificate authority for one test run: it signs what it is told, good or bad."""

import ssl
from datetime import UTC, datetime

import trustme

_LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
_SOON_AFTER = datetime(2020, 1, 2, tzinfo=UTC)


class Authority:
    """An authority that nobody believes but who is told to."""

    def __init__(self) -> None:
        self._authority = trustme.CA()

    def trust(self) -> ssl.SSLContext:
        """What a client needs to believe this authority."""
        context = ssl.create_default_context()
        self._authority.configure_trust(context)
        return context

    def server(self, name: str = "127.0.0.1", *, expired: bool = False) -> ssl.SSLContext:
        """What a server needs to call itself `name`, an address or a host."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        until = _SOON_AFTER if expired else None
        self._authority.issue_cert(name, not_before=_LONG_AGO, not_after=until).configure_cert(context)
        return context
