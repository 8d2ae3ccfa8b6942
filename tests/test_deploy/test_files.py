"""Each file of deploy/ is good to the tool that reads it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from tests.topology import DEPLOY, balancer_conf, network
from tests.topology.programs import nginx

BIN = Path(sys.executable).parent
KUBERNETES = DEPLOY / "kubernetes"
SCRIPTS = sorted(DEPLOY.glob("*.sh"))


def ran(*words: str | Path, code: int = 0) -> str:
    """Run a tool; gives all it said, and fails where it ends with another code."""
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False, env=os.environ)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_hadolint_has_nothing_to_say_of_the_image() -> None:
    assert ran(BIN / "hadolint", DEPLOY / "Dockerfile") == ""


def test_hadolint_would_say_something(tmp_path: Path) -> None:
    bad = tmp_path / "Dockerfile"
    bad.write_text((DEPLOY / "Dockerfile").read_text().replace("python:3.11-slim-bookworm", "python:latest"))
    assert "DL3007" in ran(BIN / "hadolint", bad, code=1)


def test_what_the_image_copies_is_let_through_and_there() -> None:
    copied = {
        word.rstrip("/")
        for line in (DEPLOY / "Dockerfile").read_text().splitlines()
        if line.startswith("COPY ") and "--from" not in line
        for word in line.split()[1:-1]
    }
    let = {line[1:] for line in (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines() if line.startswith("!")}
    assert copied == let
    assert all((DEPLOY.parent / name).exists() for name in copied)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_shellcheck_has_nothing_to_say(script: Path) -> None:
    assert ran(BIN / "shellcheck", "--severity=style", script) == ""
    assert os.access(script, os.X_OK)


def test_nginx_takes_its_configuration(tmp_path: Path, certificate: Path) -> None:
    try:
        program = nginx()
    except FileNotFoundError as none:
        pytest.skip(str(none))
    conf = tmp_path / "nginx.conf"
    conf.write_text(balancer_conf(network(), certificate=certificate, folder=tmp_path))
    assert "test is successful" in ran(program, "-t", "-e", "stderr", "-p", tmp_path, "-c", conf)


def test_systemd_has_nothing_to_say_of_the_unit(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze on this machine")
    unit = tmp_path / "panelmux.service"
    text = (DEPLOY / "panelmux.service").read_text()
    unit.write_text(text.replace("/opt/panelmux/bin/panelmux", str(BIN / "panelmux")))
    assert ran("systemd-analyze", "verify", unit) == ""
    unit.write_text(unit.read_text().replace("ProtectSystem=", "ProtectSytem="))
    assert "ProtectSytem" in ran("systemd-analyze", "verify", unit)  # and yet ends with 0


def test_systemd_finds_the_unit_well_shut() -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze on this machine")
    said = ran("systemd-analyze", "security", "--offline=true", "--threshold=20", DEPLOY / "panelmux.service")
    assert "Overall exposure level" in said


@pytest.mark.parametrize(
    "file",
    [
        file
        for file in sorted(KUBERNETES.glob("*/*.yaml"))
        if file.name not in {"kustomization.yaml", "routing_rules.yaml"}
    ],
    ids=lambda file: f"{file.parent.name}/{file.name}",
)
def test_kubernetes_knows_every_field(file: Path) -> None:
    for resource in yaml.safe_load_all(file.read_text()):
        kubernetes_validate.validate(resource, kubernetes_validate.latest_version(), strict=True)


def test_every_kubernetes_file_is_in_its_kustomization() -> None:
    for kustomization in KUBERNETES.glob("*/kustomization.yaml"):
        said = yaml.safe_load(kustomization.read_text())
        generated = [name for made in said.get("configMapGenerator", []) for name in made.get("files", [])]
        named = {*said["resources"], *generated} - {"../base"}
        assert named == {file.name for file in kustomization.parent.glob("*.yaml")} - {"kustomization.yaml"}


def test_kustomize_puts_the_overlay_together() -> None:
    if shutil.which("kubectl") is None:
        pytest.skip("no kubectl on this machine")
    resources = list(yaml.safe_load_all(ran("kubectl", "kustomize", KUBERNETES / "production")))
    for resource in resources:
        kubernetes_validate.validate(resource, kubernetes_validate.latest_version(), strict=True)
    made = {resource["kind"]: resource for resource in resources}
    pod = made["Deployment"]["spec"]["template"]
    assert pod["metadata"]["labels"].items() >= made["Service"]["spec"]["selector"].items()
    assert pod["metadata"]["labels"].items() >= made["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"].items()
    assert made["HorizontalPodAutoscaler"]["spec"]["minReplicas"] == 3


def test_alerts_wake_whom_they_should() -> None:
    if shutil.which("promtool") is None:
        pytest.skip("no promtool on this machine: apt-get install prometheus")
    assert "SUCCESS" in ran("promtool", "test", "rules", DEPLOY / "prometheus" / "alerts_test.yaml")


@pytest.mark.parametrize("file", sorted((DEPLOY / "grafana").glob("*.json")), ids=lambda file: file.name)
def test_a_dashboard_has_its_panels_apart(file: Path) -> None:
    board = json.loads(file.read_text())
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        at = panel["gridPos"]
        area = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not area & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= area
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
