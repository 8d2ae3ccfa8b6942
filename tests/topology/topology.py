"""All of it together: made in one folder, started in the order of compose.yaml, gone at the end."""

import contextlib
import json
import os
import re
import shutil
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Self

from tests.topology.programs import PANELMUX, Balancer, Gateway, PostgreSQL, Sandbox, Valkey
from tests.topology.running import Ended, Program

DEPLOY: Final = Path(__file__).parent.parent.parent / "deploy"

_CALL_S: Final = 30.0


def network() -> str:
    """The first three numbers of a network on loopback that is this process's own, as 127.101.7."""
    return f"127.{100 + os.getpid() // 250 % 150}.{1 + os.getpid() % 250}"


def balancer_conf(network: str, *, certificate: Path, folder: Path) -> str:
    """deploy/nginx.conf for a `network()`: listens at its .10, passes on to its .11 and .12, writes in `folder`."""
    there = {
        "172.30.80.": f"{network}.",
        "listen 8443": f"listen {network}.10:8443",
        "/run/certificate/": f"{certificate}/",
        "/tmp/": f"{folder}/",  # noqa: S108 - of the container
    }
    return _replaced((DEPLOY / "nginx.conf").read_text(), there)


def first_start(folder: Path, *, name: str) -> None:
    """deploy/compose/first_start.py in `folder`: makes gateway, database and, for `name`, certificate there."""
    words = ["--gateway", "gateway", "--database", "database", "--certificate", "certificate", "--name", name]
    program = DEPLOY / "compose" / "first_start.py"
    ledger = "postgresql://panelmux:{password}@postgres:5432/panelmux"
    subprocess.run([sys.executable, program, *words, "--ledger", ledger], cwd=folder, check=True, capture_output=True)


class Topology:
    """Two gateways behind nginx, two sandboxes, Valkey, PostgreSQL; an account with a key.

    `ledger`: `sqlite` gives each gateway a ledger of its own, in which the account is the same; `postgresql` is the
    PostgreSQL of the topology; all else is a URL for both. `overrides` are settings of the gateways, with their prefix;
    `sandboxes` further options of all sandboxes.
    """

    def __init__(
        self,
        *,
        ledger: str = "sqlite",
        gateways: int = 2,
        overrides: Mapping[str, str] = {},
        sandboxes: Sequence[str] = (),
    ) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="topology-"))
        self.folder.chmod(0o755)  # nginx's workers and PostgreSQL run as somebody else
        self._network = network()
        self._ledger = ledger
        self._overrides = overrides
        self.key = ""
        self.url = f"https://{self._host(10)}:8443/api/v2"
        self.rules = self.folder / "rules" / "routing_rules.yaml"
        plain = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        self.postgresql = PostgreSQL("postgresql", self._made("postgresql"), plain)
        self.valkey = Valkey("valkey", self.folder, plain, host=self._host(30))
        self.sandboxes = [
            Sandbox(
                f"sandbox-{name}",
                self.folder,
                plain,
                host=self._host(20 + number),
                key=name,
                options=["--seed", str(number), "--balance", "100000", *sandboxes],
            )
            for number, name in enumerate(("one", "two"), 1)
        ]
        self.gateways = [
            Gateway(
                f"gateway-{number}",
                self.folder,
                {**plain, **self.environ(number)},
                host=self._host(10 + number),
            )
            for number in range(1, gateways + 1)
        ]
        self.balancer = Balancer("balancer", self.folder, plain, host=self._host(10), conf=self.folder / "nginx.conf")

    def _host(self, number: int) -> str:
        return f"{self._network}.{number}"

    def _made(self, name: str) -> Path:
        folder = self.folder / name
        folder.mkdir()
        return folder

    def ledger(self, number: int) -> str:
        """The ledger's URL of one gateway, counted from 1."""
        if self._ledger == "sqlite":
            return f"sqlite:///{self.folder}/gateway-{number}.db"
        return self.postgresql.url if self._ledger == "postgresql" else self._ledger

    def environ(self, number: int) -> dict[str, str]:
        """The settings of one gateway, counted from 1, as compose.yaml gives them."""
        return {
            "PANELMUX_LEDGER": self.ledger(number),
            "PANELMUX_PEPPER_FILE": str(self.folder / "gateway" / "pepper"),
            "PANELMUX_RULES": str(self.rules),
            "PANELMUX_REDIS": self.valkey.url,
            "PANELMUX_LOG": "json",
            "PANELMUX_NODE": f"gateway-{number}",
            "FORWARDED_ALLOW_IPS": "127.0.0.1",  # whence loopback calls come, the load balancer's too
            **self._overrides,
        }

    @property
    def programs(self) -> Sequence[Program]:
        """All of them, in the order in which they start."""
        return [self.postgresql, self.valkey, *self.sandboxes, *self.gateways, self.balancer]

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as undone:
            undone.callback(self.close)
            first_start(self.folder, name=self._host(10))
            self._render()
            self.postgresql.start()
            self.valkey.start()
            for sandbox in self.sandboxes:
                sandbox.start()
            self._account()
            for gateway in self.gateways:
                gateway.launch()
            for gateway in self.gateways:
                gateway.wait_ready()
            self.balancer.start()
            undone.pop_all()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def close(self) -> None:
        """End everything now; what it kept is gone."""
        for program in reversed(self.programs):
            program.kill()
        shutil.rmtree(self.folder)

    def _render(self) -> None:
        """deploy/nginx.conf and the rules, with addresses and paths of here in the place of compose.yaml's."""
        conf = balancer_conf(self._network, certificate=self.folder / "certificate", folder=self._made("nginx"))
        (self.folder / "nginx.conf").write_text(conf)
        self._made("rules")
        there = {
            "sandbox-one:9000": f"{self._host(21)}:9000",
            "sandbox-two:9000": f"{self._host(22)}:9000",
            "/run/panelmux/": f"{self.folder}/gateway/",
        }
        rules = (DEPLOY / "compose" / "rules" / "routing_rules.yaml").read_text()
        self.rules.write_text(_replaced(rules, there))

    def _account(self) -> None:
        self.key = self.cli("account", "create", "shop", "--balance", "100000")["key"]
        if self._ledger == "sqlite":
            for number in range(2, len(self.gateways) + 1):
                self.cli("ledger", "backup", str(self.folder / f"gateway-{number}.db"))

    def wait_balanced(self, *, longest_s: float = 30.0) -> None:
        """Come back once nginx passes calls on to every gateway, after one was away: it leaves those alone for a while.

        Raises:
            Ended: it does not in time.
        """
        away = {gateway.url.removeprefix("http://") for gateway in self.gateways}
        end = time.monotonic() + longest_s
        read = self.balancer.log.stat().st_size
        while away:
            if time.monotonic() > end:
                raise Ended(f"no call goes to {', '.join(sorted(away))}: {self.balancer.said()}")
            self.call("balance")
            said = self.balancer.log.read_bytes()[read:].decode()
            away -= set(re.findall(r"gateway=(\S+) gateway_status=200", said))

    def cli(self, *words: str, gateway: int = 1) -> Any:
        """Run `panelmux WORDS --json` with one gateway's settings; gives what it printed.

        Raises:
            subprocess.CalledProcessError: it ended with another code than 0 or 5 (findings).
        """
        environ = {"PATH": os.environ["PATH"], **self.environ(gateway)}
        done = subprocess.run(
            [PANELMUX, *words, "--json"], env=environ, cwd=self.folder, capture_output=True, text=True, check=False
        )
        if done.returncode not in {0, 5}:
            raise subprocess.CalledProcessError(done.returncode, words, done.stdout, done.stderr)
        return json.loads(done.stdout)

    @property
    def tls(self) -> ssl.SSLContext:
        """What a customer trusts: this topology's certificate and no other."""
        return ssl.create_default_context(cafile=self.folder / "certificate" / "certificate.pem")

    def call(self, action: str, *, method: str = "POST", key: str | None = None, **fields: object) -> Any:
        """One call as a customer makes it, through the load balancer; gives the JSON of the answer.

        Raises:
            OSError: no answer, or urllib.error.HTTPError for a status that is none of the protocol's.
        """
        form = {"key": key or self.key, "action": action, **{name: str(value) for name, value in fields.items()}}
        body = urllib.parse.urlencode(form)
        url, data = (self.url, body.encode()) if method == "POST" else (f"{self.url}?{body}", None)
        with urllib.request.urlopen(url, data, timeout=_CALL_S, context=self.tls) as answer:  # noqa: S310 - our own https
            return json.loads(answer.read())


def _replaced(text: str, there: Mapping[str, str]) -> str:
    """`text` with each key of `there` in its value's place, comments apart; every one of them has to occur."""
    text = re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE)
    for old in there:
        assert old in text, f"{old} is not in it any more"
    return re.sub(
        "|".join(map(re.escape, there)), lambda found: there[found[0]], text
    )  # in one go: values are not read
