"""What panelmux says to panels; it knows nothing of the gateway.

`PROVIDERS` names the dialects. It is also the proof that each of them is a `Provider`: the type checker reports one
that is not, on its line.
"""

from collections.abc import Callable, Mapping
from typing import Final

from providers.api_v2 import APIv2
from providers.base import Provider
from providers.transport import Transport

PROVIDERS: Final[Mapping[str, Callable[[Transport], Provider]]] = {"api_v2": APIv2}
