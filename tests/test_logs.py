"""A log line tells what happened, and never a secret."""

import json
import logging

import pytest
import structlog

from gateway import logs


def _lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().err.splitlines()


def test_a_secret_is_blotted_out_wherever_it_turns_up(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("json", ["s3cret-key"])
    structlog.get_logger().info("attempt", why="GET /?key=s3cret-key&x=1", panel="alpha")
    (line,) = _lines(capsys)
    assert "s3cret-key" not in line
    assert json.loads(line)["why"] == "GET /?key=[secret]&x=1"


def test_an_exception_is_told_without_the_secret_in_it(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("json", ["s3cret-key"])
    try:
        raise ValueError("bad key s3cret-key")
    except ValueError:
        structlog.get_logger().exception("broken")
    assert "s3cret-key" not in "".join(_lines(capsys))


def test_a_panels_text_cannot_write_lines_or_colours_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("console", [])
    structlog.get_logger().info("attempt", why="no\x1b[31m red")
    (line,) = _lines(capsys)
    assert "\x1b[31m red" not in line
    assert "\\x1b[31m red" in line


def test_lines_below_the_level_are_not_written(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("json", [], level=logging.WARNING)
    structlog.get_logger().info("quiet")
    assert _lines(capsys) == []


def test_what_a_library_logs_is_blotted_out_as_well(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("json", ["s3cret-key"])
    try:
        raise ValueError("key s3cret-key")
    except ValueError:
        logging.getLogger("asyncio").exception("Task exception was never retrieved: %s", "s3cret-key")
    (line,) = _lines(capsys)
    assert "s3cret-key" not in line
    assert json.loads(line)["event"] == "asyncio"
