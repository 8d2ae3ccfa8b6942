"""Settings come from the environment, and a wrong one is named."""

from pathlib import Path

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
        ("PANELMUX_LEDGER", "mysql://u:pass@h/db", 'PANELMUX_LEDGER: "mysql://h/db" is not sqlite:///PATH'),
        ("PANELMUX_LEDGER", "sqlite:///", 'PANELMUX_LEDGER: "sqlite:///" is not sqlite:///PATH'),
        ("PANELMUX_REDIS", "htp://u:pass@h", 'PANELMUX_REDIS: "htp://h" is not redis://'),
        ("PANELMUX_WORKERS", "2", "PANELMUX_WORKERS: 2"),
        ("PANELMUX_LOG", "loud", 'PANELMUX_LOG: "loud"'),
        ("PANELMUX_DRAIN_S", "0", "PANELMUX_DRAIN_S: 0.0"),
        ("PANELMUX_STATUS_S", "nan", "PANELMUX_STATUS_S: nan"),
        ("PANELMUX_SHED_S", "0", "PANELMUX_SHED_S: 0.0"),
        ("PANELMUX_REMEMBERED", "999", "PANELMUX_REMEMBERED: 999 is not 1000 or more"),
        ("PANELMUX_CONNECTIONS", "0", "PANELMUX_CONNECTIONS: 0 is not a number above 0"),
        ("PANELMUX_KEY_RATE", "-1", "PANELMUX_KEY_RATE: -1.0 is not calls a second"),
        ("PANELMUX_ADDRESS_RATE", "nan", "PANELMUX_ADDRESS_RATE: nan is not calls a second"),
        ("PANELMUX_METRICS_FROM", "10.0.0.1/8", 'PANELMUX_METRICS_FROM: "10.0.0.1/8" is not an address or a network'),
        (
            "PANELMUX_PROXIES",
            "10.0.0.1, *",
            'PANELMUX_PROXIES: "*" is not an address or a network such as 10.0.0.0/8; name',
        ),
        ("FORWARDED_ALLOW_IPS", "*", 'FORWARDED_ALLOW_IPS: "*" is not an address'),
        ("PANELMUX_LEGDER", "sqlite:///x", "PANELMUX_LEGDER: not a setting; settings: PANELMUX_RULES"),
    ],
)
def test_a_wrong_setting_is_named(variable: str, value: str, said: str) -> None:
    with pytest.raises(SettingError) as wrong:
        settings({variable: value})
    assert said in str(wrong.value)


def test_proxies_are_what_ours_says_and_else_what_the_web_servers_own_variable_says() -> None:
    assert settings({"FORWARDED_ALLOW_IPS": "10.0.0.1"}).proxies == "10.0.0.1"
    assert settings({"FORWARDED_ALLOW_IPS": "10.0.0.1", "PANELMUX_PROXIES": "10.0.0.2"}).proxies == "10.0.0.2"


def test_no_secret_is_shown() -> None:
    shown = repr(settings({"PANELMUX_PEPPER": "s3cret-pepper", "PANELMUX_REDIS": "redis://:s3cret-pass@host:1/0"}))
    assert "s3cret" not in shown
    assert "host:1/0" in shown


@pytest.mark.parametrize("setting", ["ledger", "redis", "pepper"])
def test_what_may_hold_a_secret_may_stand_in_a_file(tmp_path: Path, setting: str) -> None:
    value = {"ledger": "sqlite:///kept.db", "redis": "redis://h:1", "pepper": "ground"}[setting]
    file = tmp_path / setting
    file.write_text(value + "\n")
    read = settings({f"PANELMUX_{setting.upper()}_FILE": str(file)})
    assert getattr(read, setting) == value


def test_a_variable_goes_before_its_file(tmp_path: Path) -> None:
    (tmp_path / "pepper").write_text("from the file")
    read = settings({"PANELMUX_PEPPER": "from here", "PANELMUX_PEPPER_FILE": str(tmp_path / "pepper")})
    assert read.pepper == "from here"


@pytest.mark.parametrize(
    ("content", "said"), [(None, "No such file"), (b"", "is empty"), (b"\n", "is empty"), (b"\xff", "not text")]
)
def test_a_file_that_gives_no_secret_is_named(tmp_path: Path, content: bytes | None, said: str) -> None:
    file = tmp_path / "pepper"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(SettingError, match=rf"PANELMUX_PEPPER_FILE: {file}.* {said}"):
        settings({"PANELMUX_PEPPER_FILE": str(file)})


def test_no_other_setting_is_read_from_a_file() -> None:
    with pytest.raises(SettingError, match="PANELMUX_PORT_FILE: not a setting"):
        settings({"PANELMUX_PORT_FILE": "/port"})
