"""The standard dialect, as some hundred panels write it."""

from providers.api_v2.provider import APIv2

__all__ = ["APIv2"]
