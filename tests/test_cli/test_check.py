"""check: rules, panels, money."""

from gateway.cli.failure import Exit
from tests.test_cli.shell import Shell, Site


def test_check_finds_what_wants_attention(selling: Shell) -> None:
    checked = selling.json("check", code=Exit.FINDINGS)
    assert checked["unreachable"] == []
    assert checked["services"] == 8
    assert checked["findings"] == [
        "service 3: alpha/999: not in the panel's list",
        "service 4: alpha/888: not in the panel's list",
        "service 4: none of its routes can be bought",
    ]
    text = selling.run("check").stdout
    assert "routing_rules.yaml: valid" in text
    assert "wants attention\n  service 3: alpha/999" in text


def test_check_is_content_when_all_is_well(selling: Shell) -> None:
    written = selling.rules.read_text()
    selling.rules.write_text(written.replace("alpha/999, ", "").replace("  4: {routes: [alpha/888]}\n", ""))
    result = selling.run("check")
    assert (result.exit_code, result.stderr) == (0, "")
    assert "wants attention" not in result.stdout


def test_check_ends_with_unreachable_when_a_panel_cannot_be_used(selling: Shell) -> None:
    result = selling.run("check", ALPHA_KEY="wrong-key")
    assert result.exit_code == Exit.UNREACHABLE
    assert "cannot be used\n  alpha: balance: " in result.stdout
    assert "alpha: services: " in result.stdout
    assert "wrong-key" not in result.output


def test_invalid_rules_are_answered_with_all_mistakes_and_their_lines(selling: Shell) -> None:
    selling.rules.write_text(selling.rules.read_text().replace("margin", "margn").replace("beta/101]", "betta/101]"))
    for command in ("check", "serve", "panel list", "catalog search x", "route explain 1"):
        result = selling.run(*command.split())
        assert result.exit_code == Exit.RULES
        assert "routing_rules.yaml:2:1: margn: no such key here" in result.stderr
        assert '"betta" is not a panel; did you mean "beta"?' in result.stderr
        assert "\n    2 | margn: 50%\n      | ^\n" in result.stderr


def test_rules_alone_are_checked_offline(selling: Shell, site: Site) -> None:
    calls = len(site.alpha.calls)
    assert selling.json("check", "--offline")["panels"] == []
    selling.rules.write_text(selling.rules.read_text() + "min_margin: 60%\n")
    (finding,) = selling.json("check", "--offline", code=Exit.FINDINGS)["findings"]
    assert "min_margin" in finding
    assert len(site.alpha.calls) == calls
    missing = selling.run("check", "--rules", "none.yaml")
    assert (missing.exit_code, "none.yaml: cannot be read" in missing.stderr) == (Exit.RULES, True)
