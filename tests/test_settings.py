"""Settings come from the environment, and a wrong one is named."""

import pytest

from gateway.settings import SettingError, Settings, settings


def test_nothing_set_gives_the_defaults() -> None:
    assert settings({}) == Settings()


def test_each_setting_is_read_in_its_type() -> None:
    read = settings(
        {"PANELMUX_PORT": "9000", "PANELMUX_SYNC_WAIT_S": "2.5", "PANELMUX_REDIS": "redis://h:1", "HOME": "/"}
    )
    assert (read.port, read.sync_wait_s, read.redis) == (9000, 2.5, "redis://h:1")


def test_an_empty_variable_is_as_good_as_none() -> None:
    assert settings({"PANELMUX_REDIS": ""}).redis is None


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("PANELMUX_PORT", "many", 'PANELMUX_PORT: "many" is not a whole number'),
        ("PANELMUX_SYNC_WAIT_S", "six", 'PANELMUX_SYNC_WAIT_S: "six" is not a number'),
        ("PANELMUX_PORT", "70000", "PANELMUX_PORT: 70000 is not a port"),
        ("PANELMUX_LEDGER", "mysql://db", 'PANELMUX_LEDGER: "mysql://db" is not sqlite:///PATH'),
        ("PANELMUX_LEDGER", "sqlite:///", 'PANELMUX_LEDGER: "sqlite:///" is not sqlite:///PATH'),
        ("PANELMUX_REDIS", "htp://u:pass@h", 'PANELMUX_REDIS: "htp://h" is not redis://'),
        ("PANELMUX_WORKERS", "2", "PANELMUX_WORKERS: 2"),
        ("PANELMUX_LOG", "loud", 'PANELMUX_LOG: "loud"'),
        ("PANELMUX_DRAIN_S", "0", "PANELMUX_DRAIN_S: 0.0"),
        ("PANELMUX_STATUS_S", "nan", "PANELMUX_STATUS_S: nan"),
        ("PANELMUX_LEGDER", "sqlite:///x", "PANELMUX_LEGDER: not a setting; settings: PANELMUX_RULES"),
    ],
)
def test_a_wrong_setting_is_named(variable: str, value: str, said: str) -> None:
    with pytest.raises(SettingError) as wrong:
        settings({variable: value})
    assert said in str(wrong.value)


def test_no_secret_is_shown() -> None:
    shown = repr(settings({"PANELMUX_PEPPER": "s3cret-pepper", "PANELMUX_REDIS": "redis://:s3cret-pass@host:1/0"}))
    assert "s3cret" not in shown
    assert "host:1/0" in shown
