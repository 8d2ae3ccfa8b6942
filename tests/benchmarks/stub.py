"""A panel that takes every order at once and does nothing else: what both sides of a comparison buy from.

Run as a program, with the seconds that an `add` takes; prints its URL.
"""

import asyncio
import itertools
import re
import sys

SERVICES = b'[{"service":1,"name":"One","type":"Default","category":"C","rate":"0.90","min":"1","max":"1000000"}]'
STATUS = b'{"charge":"0.009","start_count":"0","status":"In progress","remains":"10","currency":"USD"}'


class Panel(asyncio.Protocol):
    """HTTP/1.1 with keep-alive, as little of it as two well-behaved clients need."""

    ids = itertools.count(1_000)
    takes_s = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.received = b""

    def data_received(self, data: bytes) -> None:
        self.received += data
        while (split := self.received.find(b"\r\n\r\n")) >= 0:
            head = self.received[:split].lower()
            found = re.search(rb"content-length: *(\d+)", head)
            end = split + 4 + (int(found[1]) if found else 0)
            if len(self.received) < end:
                return
            form, self.received = self.received[split + 4 : end], self.received[end:]
            if self.takes_s and b"action=add" in form:
                asyncio.get_running_loop().call_later(self.takes_s, self._write, self._answer(form))
            else:
                self._write(self._answer(form))

    def _write(self, answer: bytes) -> None:
        head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
        if not self.transport.is_closing():
            self.transport.write(head % len(answer) + answer)

    def _answer(self, form: bytes) -> bytes:
        if b"action=add" in form:
            return b'{"order":%d}' % next(self.ids)
        if b"action=services" in form:
            return SERVICES
        if b"action=balance" in form:
            return b'{"balance":"1000000.00","currency":"USD"}'
        ids = re.search(rb"orders=([^&]*)", form)
        if ids is None:
            return STATUS
        return b"{" + b",".join(b'"%s":%s' % (id, STATUS) for id in re.split(rb"%2C|,", ids[1])) + b"}"


async def main(takes_s: float) -> None:
    Panel.takes_s = takes_s
    listening = await asyncio.get_running_loop().create_server(Panel, "127.0.0.1", 0)
    print(f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/api/v2", flush=True)
    await listening.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(float(sys.argv[1]) if len(sys.argv) > 1 else 0.0))
