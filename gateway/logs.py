"""Log lines: one line an event, `event key=value`, secrets blotted out by value wherever they turn up."""

import logging
import sys
from collections.abc import Iterable, MutableMapping
from typing import Any, Final

import structlog

_BLOT: Final = "[secret]"


def configure(kind: str, secrets: Iterable[str], *, level: int = logging.INFO) -> None:
    """Log to stderr, as `console` lines or `json`; no value of `secrets` is ever written."""
    hidden = tuple(sorted((secret for secret in secrets if len(secret) >= 4), key=len, reverse=True))

    def blotted(_logger: object, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        for field, value in event.items():
            event[field] = _blot(value, hidden)
        return event

    shown: list[structlog.typing.Processor] = (
        [structlog.processors.JSONRenderer(ensure_ascii=True)]
        if kind == "json"
        else [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), sort_keys=False, pad_event_to=0)]
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            blotted,
            *shown,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(handlers=[_Libraries()], level=logging.WARNING, force=True)


class _Libraries(logging.Handler):
    """What libraries log goes the same way as our own lines, so that no secret passes by the blotting."""

    def emit(self, record: logging.LogRecord) -> None:
        structlog.get_logger().log(record.levelno, record.name, what=record.getMessage(), exc_info=record.exc_info)


def _blot(value: object, hidden: tuple[str, ...]) -> object:
    """Text without secrets and without control characters, which could write lines or colours of their own."""
    if not isinstance(value, str):
        return value
    for secret in hidden:
        value = value.replace(secret, _BLOT)
    return "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in value)
