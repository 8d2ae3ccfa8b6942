"""What one file of deploy/ says agrees with the others, and with the program."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml

from gateway.metrics import Metrics
from gateway.rules import load
from gateway.settings import PREFIX, Settings
from tests.topology import DEPLOY

COMPOSE = DEPLOY / "compose.yaml"
TEXTS = sorted(
    file
    for file in DEPLOY.rglob("*")
    if file.is_file() and file.suffix not in {".txt", ".pyc"} and file.parent != DEPLOY / "__pycache__"
)
ONCE = {"first-start", "account"}  # services that do one thing and end

PROMETHEUS_OWN = {"up", "scrape_duration_seconds"}


def alerts() -> list[dict[str, Any]]:
    groups = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yaml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def expressions() -> Iterator[tuple[str, str]]:
    """Every PromQL expression, with where it stands."""
    for rule in alerts():
        yield rule["alert"], rule["expr"]
    for file in sorted((DEPLOY / "grafana").glob("*.json")):
        for panel in json.loads(file.read_text())["panels"]:
            for number, target in enumerate(panel["targets"]):
                yield f"{file.stem}, {panel['title']}, {number}", target["expr"]


def metrics_there() -> set[str]:
    """The names that the program writes."""
    text = Metrics().text().decode()
    return {name for name in re.findall(r"^# TYPE (\S+) \w+$", text, re.MULTILINE) if not name.endswith("_created")}


@pytest.fixture(scope="module")
def composed() -> dict[str, Any]:
    """compose.yaml as the engine would be given it."""
    words = [
        str(Path(sys.executable).with_name("docker-compose")),
        "--file",
        str(COMPOSE),
        "config",
        "--format",
        "json",
    ]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    read: dict[str, Any] = json.loads(done.stdout)
    return read


def directive(name: str) -> list[str]:
    """What nginx.conf says after `name`, each time, comments apart."""
    text = re.sub(r"#.*", "", (DEPLOY / "nginx.conf").read_text())
    return re.findall(rf"^\s*{name}\s+([^;]+);", text, re.MULTILINE)


@pytest.mark.parametrize(("where", "expression"), list(expressions()))
def test_an_expression_is_promql_about_metrics_that_exist(where: str, expression: str) -> None:
    promql_parser.parse(expression.replace("$panel", "one"))
    bare = re.sub(r'"[^"]*"|\bby \([^)]*\)|\{[^}]*\}', "", expression)
    named = set(re.findall(r"\b(?:panelmux_\w+|up|scrape_\w+)\b", bare))
    assert named, where
    assert named <= metrics_there() | PROMETHEUS_OWN


def test_every_metric_is_looked_at() -> None:
    """One that neither wakes anybody nor is on a dashboard is of no use."""
    looked = " ".join(expression for _, expression in expressions())
    assert [name for name in sorted(metrics_there()) if not re.search(rf"\b{name}\b", looked)] == []


@pytest.mark.parametrize("file", TEXTS, ids=lambda file: str(file.relative_to(DEPLOY)))
def test_every_variable_with_our_prefix_is_a_setting(file: Path) -> None:
    there = {PREFIX + name.upper() for name in Settings.__struct_fields__}
    there |= {f"{PREFIX}{name}_FILE" for name in ("LEDGER", "REDIS", "PEPPER")}
    assert set(re.findall(PREFIX + r"[A-Z_]*[A-Z]", file.read_text())) <= there


def test_every_alert_says_how_loud_it_is_and_what_is_wrong() -> None:
    for rule in alerts():
        assert rule["labels"]["severity"] in {"page", "ticket"}
        assert rule["annotations"]["summary"]
    names = [rule["alert"] for rule in alerts()]
    assert len(names) == len(set(names))


def test_what_an_alert_names_its_expression_tells_apart() -> None:
    for rule in alerts():
        named = set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]))
        for kept in re.findall(r"\b(?:sum|min|max|count)\b(?: by \(([^)]*)\))?", rule["expr"]):
            assert named <= set(re.split(r",\s*", kept)), rule["alert"]


@pytest.mark.parametrize("name", ["PanelmuxNodeDown", "PanelmuxRulesNotTaken"])
def test_an_alert_of_one_node_says_which(name: str) -> None:
    [summary] = [rule["annotations"]["summary"] for rule in alerts() if rule["alert"] == name]
    assert "{{ $labels.instance }}" in summary


def test_every_service_is_shut_in(composed: dict[str, Any]) -> None:
    for name, service in composed["services"].items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert not service.get("privileged"), name
        assert {"cpus", "memory", "pids"} <= service["deploy"]["resources"]["limits"].keys(), name
        assert name in ONCE or ("healthcheck" in service and service["restart"] == "always"), name


def test_no_service_has_a_secret_in_its_environment(composed: dict[str, Any]) -> None:
    for name, service in composed["services"].items():
        for variable, value in (service.get("environment") or {}).items():
            secret = re.search("PASSWORD|PEPPER|LEDGER|KEY", variable)
            assert not secret or variable.endswith("_FILE") or not value, f"{name}: {variable}"


def test_only_the_balancer_is_open_to_others(composed: dict[str, Any]) -> None:
    assert [name for name, service in composed["services"].items() if service.get("ports")] == ["balancer"]
    for name in ("postgres", "valkey", "sandbox-one", "sandbox-two", "account"):
        assert list(composed["services"][name]["networks"]) == ["inside"]
    assert composed["networks"]["inside"]["internal"] is True


def test_the_balancer_knows_the_gateways_and_they_know_it(composed: dict[str, Any]) -> None:
    address = {
        name: composed["services"][name]["networks"]["outside"]["ipv4_address"]
        for name in ("balancer", "gateway-1", "gateway-2")
    }
    upstreams = [line.split()[0] for line in directive("server") if "max_fails" in line]
    assert upstreams == [f"{address['gateway-1']}:8080", f"{address['gateway-2']}:8080"]
    for name in ("gateway-1", "gateway-2"):
        assert composed["services"][name]["environment"]["PANELMUX_PROXIES"] == address["balancer"]


def test_a_stop_is_given_the_time_it_needs(composed: dict[str, Any]) -> None:
    needed = Settings().drain_s + 10
    for name in ("gateway-1", "gateway-2"):
        assert composed["services"][name]["environment"]["PANELMUX_DRAIN_S"] == f"{Settings().drain_s:.0f}"
        assert composed["services"][name]["stop_grace_period"] == f"{needed // 60:.0f}m{needed % 60:.0f}s"
    unit = (DEPLOY / "panelmux.service").read_text()
    assert f"TimeoutStopSec={needed:.0f}\n" in unit
    assert "KillMode=mixed\n" in unit  # a worker that heard SIGTERM twice would not wait
    pod = yaml.safe_load((DEPLOY / "kubernetes" / "base" / "deployment.yaml").read_text())["spec"]["template"]["spec"]
    (gateway,) = pod["containers"]
    (drain,) = [int(one["value"]) for one in gateway["env"] if one["name"] == "PANELMUX_DRAIN_S"]
    before = gateway["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert pod["terminationGracePeriodSeconds"] == before + drain + 10


def test_the_balancer_waits_longer_than_a_gateway_lets_customers_wait() -> None:
    (waits,) = directive("proxy_read_timeout")
    assert float(waits.removesuffix("s")) > 2 * Settings().sync_wait_s


def test_pods_are_as_restricted_as_their_namespace_wants() -> None:
    pod = yaml.safe_load((DEPLOY / "kubernetes" / "base" / "deployment.yaml").read_text())["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["enableServiceLinks"] is False  # else PANELMUX_PORT=tcp://… would be a setting that cannot be
    for container in pod["containers"]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }


@pytest.mark.parametrize("file", sorted(DEPLOY.rglob("routing_rules.yaml")), ids=lambda file: file.parent.name)
def test_the_rules_are_valid(tmp_path: Path, file: Path) -> None:
    text = file.read_text()
    for path in set(re.findall(r"\$\{file:([^}]+)\}", text)):
        (tmp_path / Path(path).name).write_text("a-key")
        text = text.replace(path, str(tmp_path / Path(path).name))
    (tmp_path / "rules.yaml").write_text(text)
    assert load(tmp_path / "rules.yaml", {}).services
