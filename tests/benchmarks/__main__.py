"""`make bench`: the gateway beside a naive forwarder, in turn, several rounds; the medians of the ratios count."""

import asyncio
import statistics
import tempfile
import time
from collections.abc import Sequence
from urllib.parse import urlencode, urlsplit

from tests.benchmarks import beside, deciding
from tests.benchmarks.processes import started, stopped

ROUNDS = 5
SECONDS = 2.0  # a round, each side
CONNECTIONS = 32


class Client(asyncio.Protocol):
    """One connection that sends the same request again as soon as it is answered, and notes how long each took."""

    def __init__(self, request: bytes, until: float, took: list[float]) -> None:
        self.request, self.until, self.took = request, until, took
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(RuntimeError(f"the connection was lost: {exc!r}"))

    def _send(self) -> None:
        self.began = time.perf_counter()
        self.transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        self.received += data
        head, found, body = self.received.partition(b"\r\n\r\n")
        if not found:
            return
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        if len(body) < length:
            return
        if not head.startswith(b"HTTP/1.1 200") or b"error" in body:
            self.done.set_exception(RuntimeError(f"not a good answer: {self.received[:300]!r}"))
            return
        self.received = b""
        now = time.perf_counter()
        self.took.append(now - self.began)
        if now < self.until:
            self._send()
        else:
            self.done.set_result(None)
            self.transport.close()


async def load(url: str, form: dict[str, object], *, connections: int = CONNECTIONS) -> tuple[float, list[float]]:
    """Requests a second, and each one's seconds, sorted."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or 80
    body = urlencode(form).encode()
    request = (
        f"POST {parts.path} HTTP/1.1\r\nhost: {parts.netloc}\r\n"
        f"content-type: application/x-www-form-urlencoded\r\ncontent-length: {len(body)}\r\n\r\n"
    ).encode() + body
    took: list[float] = []
    began = time.perf_counter()
    loop = asyncio.get_running_loop()
    clients = [
        (await loop.create_connection(lambda: Client(request, began + SECONDS, took), host, port))[1]
        for _ in range(connections)
    ]
    await asyncio.gather(*(client.done for client in clients))
    return len(took) / (time.perf_counter() - began), sorted(took)


def compare(name: str, ours: tuple[str, dict[str, object]], theirs: tuple[str, dict[str, object]], goal: float) -> None:
    """One row of the table: both sides in turn, `ROUNDS` times."""
    ratios, rates, p50s, p99s = [], [], [], []
    for _ in range(ROUNDS):
        base, _took = asyncio.run(load(*theirs))
        rate, took = asyncio.run(load(*ours))
        ratios.append(rate / base)
        rates.append(rate)
        p50s.append(took[len(took) // 2])
        p99s.append(took[len(took) * 99 // 100])
    row: Sequence[object] = (
        name,
        f"{statistics.median(rates):.0f}/s",
        f"{statistics.median(ratios):.2f} x",
        f"(goal {goal:.2f} x)",
        f"p50 {statistics.median(p50s) * 1000:.1f} ms",
        f"p99 {statistics.median(p99s) * 1000:.1f} ms",
    )
    print("  ".join(f"{cell!s:<14}" for cell in row))


def main() -> None:
    for row in deciding.rows():
        print(row)
    with tempfile.TemporaryDirectory() as folder, stopped() as processes:
        stub, (panel,) = started("tests.benchmarks.stub")
        processes.append(stub)
        naive, (forwarder,) = started("tests.benchmarks.naive", panel)
        processes.append(naive)
        seller, (url, key, order) = started("tests.benchmarks.seller", folder, "", panel)
        processes.append(seller)
        add: dict[str, object] = {
            "key": key,
            "action": "add",
            "service": 1,
            "link": "https://x.example/p",
            "quantity": 10,
        }
        status: dict[str, object] = {"key": key, "action": "status", "order": order}
        constant = forwarder.replace("/api/v2", "/constant")
        compare("add", (url, add), (forwarder, add), 1.0)
        compare("status", (url, status), (constant, status), 0.7)
    for row in beside.rows():
        print(row)


if __name__ == "__main__":
    main()
