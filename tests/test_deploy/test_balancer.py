"""deploy/nginx.conf in front of gateways that misbehave: what was sent is never sent again."""

import http.client
import re
import socket
import ssl
import threading
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

import pytest

from tests.topology import Balancer, balancer_conf, network
from tests.topology.programs import nginx

ADD = {"key": "pm_secret", "action": "add", "service": "1", "link": "https://link.example/1", "quantity": "100"}
READ_S = "15s"
"""proxy_read_timeout; a test of a gateway that hangs does not wait so long."""

Answer = Callable[[socket.socket], None]


class Peer:
    """Listens at an address in a gateway's place; takes whole requests, keeps them, and answers as told."""

    def __init__(self, host: str, answer: Answer) -> None:
        self.heard: list[bytes] = []
        self._answer = answer
        self._listening = socket.create_server((host, 8080))
        self._hung: list[socket.socket] = []
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listening.close()
        for connection in self._hung:
            connection.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            request = _request(connection)
            if request:
                self.heard.append(request)
                self._answer(connection)
            self._hung.append(connection)  # open until the end, unless the answer shut it


def _request(connection: socket.socket) -> bytes:
    """One whole request."""
    read = b""
    while b"\r\n\r\n" not in read:
        more = connection.recv(65536)
        if not more:
            return b""
        read += more
    head, _, body = read.partition(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head.lower())
    while length and len(body) < int(length[1]):
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


def shuts(connection: socket.socket) -> None:
    connection.shutdown(socket.SHUT_RDWR)


def resets(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
    connection.close()


def hangs(connection: socket.socket) -> None:
    """Say nothing."""


def says(raw: bytes) -> Answer:
    def answer(connection: socket.socket) -> None:
        connection.sendall(raw)
        connection.shutdown(socket.SHUT_RDWR)

    return answer


class Front:
    """nginx at a network of its own, and what a customer asks it."""

    def __init__(self, folder: Path, certificate: Path, *, read_s: str = READ_S) -> None:
        self.network = network()
        self._tls = ssl.create_default_context(cafile=certificate / "certificate.pem")
        self._tls.check_hostname = False  # it is for localhost
        conf = balancer_conf(self.network, certificate=certificate, folder=folder)
        assert f"proxy_read_timeout {READ_S};" in conf
        (folder / "nginx.conf").write_text(conf.replace(f"_timeout {READ_S};", f"_timeout {read_s};"))
        folder.chmod(0o755)
        self.balancer = Balancer("balancer", folder, {}, host=f"{self.network}.10", conf=folder / "nginx.conf")

    def peer(self, number: int, answer: Answer) -> Peer:
        return Peer(f"{self.network}.{10 + number}", answer)

    def ask(self, method: str, path: str = "/api/v2", headers: dict[str, str] | None = None) -> int:
        """One call of a customer on a connection of its own; gives the status."""
        form = urllib.parse.urlencode(ADD)
        connection = http.client.HTTPSConnection(f"{self.network}.10", 8443, timeout=10, context=self._tls)
        with_form = {"content-type": "application/x-www-form-urlencoded", **(headers or {})}
        if method == "POST":
            connection.request(method, path, form, with_form)
        else:
            connection.request(method, f"{path}?{form}", headers=headers or {})
        status = connection.getresponse().status
        connection.close()
        return status


@pytest.fixture
def front(request: pytest.FixtureRequest, tmp_path: Path, certificate: Path) -> Iterator[Front]:
    try:
        nginx()
    except FileNotFoundError as none:
        pytest.skip(str(none))
    for folder in (tmp_path, tmp_path.parent, certificate, certificate.parent):
        folder.chmod(0o755)  # nginx's workers are somebody else where the tests run as root
    made = Front(tmp_path, certificate, read_s=getattr(request, "param", READ_S))
    made.balancer.start()
    try:
        yield made
    finally:
        made.balancer.kill()


BROKEN = {
    "shuts": (shuts, 502),
    "resets": (resets, 502),
    "breaks off": (says(b"HTTP/1.1 20"), 502),
    "500": (says(b"HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n"), 500),
    "502": (says(b"HTTP/1.1 502 No\r\ncontent-length: 0\r\n\r\n"), 502),
    "503": (says(b"HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n"), 503),
    "429": (says(b"HTTP/1.1 429 No\r\ncontent-length: 0\r\n\r\n"), 429),
}


@pytest.mark.parametrize("path", ["/api/v2", "/api/v2/"])
@pytest.mark.parametrize("method", ["POST", "GET"])
@pytest.mark.parametrize("broken", BROKEN)
def test_what_was_sent_is_not_sent_again(front: Front, broken: str, method: str, path: str) -> None:
    answer, status = BROKEN[broken]
    with front.peer(1, answer) as one, front.peer(2, answer) as two:
        assert front.ask(method, path) == status
    assert len(one.heard + two.heard) == 1


@pytest.mark.parametrize("front", ["300ms"], indirect=True)
@pytest.mark.parametrize("method", ["POST", "GET"])
def test_what_hangs_is_not_sent_again(front: Front, method: str) -> None:
    with front.peer(1, hangs) as one, front.peer(2, hangs) as two:
        assert front.ask(method) == 504
    assert len(one.heard + two.heard) == 1


def test_a_post_that_is_refused_a_connection_goes_to_the_other(front: Front) -> None:
    with front.peer(2, says(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")) as two:
        assert [front.ask("POST") for _ in range(6)] == [200] * 6
    assert len(two.heard) == 6


def test_a_get_goes_to_one_gateway_alone(front: Front) -> None:
    """nginx cannot be told to try a GET again only where nothing was sent; so it is not tried again at all."""
    with front.peer(2, says(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")) as two:
        statuses = [front.ask("GET") for _ in range(4)]
    assert set(statuses) == {200, 502}  # 502 once: then the one that refuses is left alone for a while
    assert len(two.heard) == statuses.count(200)


def test_a_customer_cannot_say_where_he_calls_from(front: Front) -> None:
    ok = says(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
    lie = {"X-Forwarded-For": "198.51.100.7", "Forwarded": "for=198.51.100.7"}
    with front.peer(1, ok) as one, front.peer(2, ok) as two:
        front.ask("POST", headers=lie)
    (request,) = one.heard + two.heard
    assert b"198.51.100.7" not in request
    assert re.search(rb"\r\nX-Forwarded-For: 127\.", request)


@pytest.mark.parametrize("path", ["/metrics", "/healthz", "/readyz", "/", "/api/v2/x", "/api/v2/../../metrics"])
def test_nothing_else_is_passed_on(front: Front, path: str) -> None:
    ok = says(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
    with front.peer(1, ok) as one, front.peer(2, ok) as two:
        assert front.ask("POST", path) == 404
        assert front.ask("GET", path) == 404
    assert one.heard + two.heard == []


def test_no_key_is_in_what_it_writes(front: Front) -> None:
    with front.peer(1, shuts), front.peer(2, resets):
        for method in ("GET", "POST"):
            front.ask(method)
            front.ask(method)
    assert front.balancer.stop() == 0
    said = front.balancer.said()
    assert "GET /api/v2 502" in said
    assert "pm_secret" not in said
