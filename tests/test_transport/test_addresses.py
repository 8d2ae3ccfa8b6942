"""Whom we speak to: certificates, addresses, and mistakes of the rules."""

import asyncio
import socket
import ssl

import pytest

from providers.errors import Unsent
from providers.transport import Transport
from providers.transport.session import trusting_the_system
from providers.transport.sockets import factory, is_public
from tests.certificates import Authority
from tests.raw_panel import Act, RawPanel, answer, hang_up, silence
from tests.test_transport.calling import KEY, ORDER, UNREACHED, Naps, failure, no_address, transport

pytestmark = pytest.mark.anyio


async def test_a_good_certificate_is_believed(authority: Authority) -> None:
    options = {"ssl_context": authority.trust()}
    async with RawPanel(answer(), tls=authority.server()) as panel, transport(panel.url, **options) as line:
        assert (await line.send("add", ORDER)).status == 200


@pytest.mark.parametrize("flaw", ["unknown authority", "wrong host", "expired", "old protocol"])
async def test_nothing_leaves_towards_a_certificate_that_is_not_good(flaw: str, authority: Authority) -> None:
    server = authority.server("other.example" if flaw == "wrong host" else "127.0.0.1", expired=flaw == "expired")
    trusted = Authority().trust() if flaw == "unknown authority" else authority.trust()
    if flaw == "old protocol":
        with pytest.warns(DeprecationWarning, match="TLSv1_1"):
            server.maximum_version = ssl.TLSVersion.TLSv1_1
        server.set_ciphers("DEFAULT@SECLEVEL=0")
    naps = Naps()
    async with RawPanel(answer(), tls=server) as panel:
        fault = await failure(panel.url, ssl_context=trusted, sleep=naps)
    assert isinstance(fault, Unsent)
    assert fault.evidence["phase"] == "connecting"
    assert panel.requests == []
    assert naps.seconds == [] or flaw == "old protocol"


async def test_the_systems_list_is_trusted_where_nothing_else_is_said(authority: Authority) -> None:
    async with RawPanel(answer(), tls=authority.server()) as panel:
        fault = await failure(panel.url)
    assert isinstance(fault, Unsent)
    assert fault.evidence["error"] == "ClientConnectorCertificateError"
    assert panel.requests == []


def test_the_systems_list_comes_with_every_check_on() -> None:
    context = trusting_the_system()
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert context.maximum_version is ssl.TLSVersion.MAXIMUM_SUPPORTED


@pytest.mark.parametrize("act", [hang_up(), hang_up(reset=True), silence()], ids=["fin", "reset", "hang"])
async def test_nothing_left_when_the_handshake_comes_to_nothing(act: Act, authority: Authority) -> None:
    async with RawPanel(act) as panel:
        url = panel.url.replace("http:", "https:")
        fault = await failure(url, ssl_context=authority.trust(), limits=UNREACHED)
    assert isinstance(fault, Unsent)
    assert fault.evidence["phase"] == "connecting"
    assert panel.requests == []


@pytest.mark.parametrize("lax", ["no check of the host", "no check at all"])
def test_a_context_that_does_not_verify_is_refused(lax: str) -> None:
    context = ssl.create_default_context()
    context.check_hostname = False
    if lax == "no check at all":
        context.verify_mode = ssl.CERT_NONE
    with pytest.raises(ValueError, match="alpha: a TLS context that does not verify"):
        Transport("alpha", "https://panel.example/api/v2", KEY, ssl_context=context)


INSIDE = [
    "0.0.0.0",
    "127.0.0.1",
    "127.8.8.8",
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "100.127.0.1",
    "192.0.0.1",
    "192.0.0.9",
    "192.0.0.10",
    "168.63.129.16",
    "192.0.2.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "::127.0.0.1",
    "64:ff9b::10.0.0.1",
    "64:ff9b::192.0.0.9",
    "64:ff9b::169.254.169.254",
    "64:ff9b::168.63.129.16",
    "::ffff:168.63.129.16",
    "::ffff:100.64.0.1",
    "2002:a83f:8110::",
    "3fff::1",
    "3fff:fff::1",
    "64:ff9b:1::1",
    "2002:7f00:1::",
    "2002:a00:1::",
    "2001:0:4136:e378:8000:63bf:80ff:fffe",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "fc00::1",
    "fd00:ec2::254",
    "ff02::1",
    "2001:db8::1",
    "100::1",
]

OUTSIDE = ["1.1.1.1", "93.184.216.34", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::1.1.1.1", "2002:101:101::"]


@pytest.mark.parametrize("address", INSIDE)
def test_an_address_inside_is_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", OUTSIDE)
def test_an_address_of_the_open_network_is(address: str) -> None:
    assert is_public(address)


async def test_a_name_that_leads_inside_is_not_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    def connect(_: socket.socket, address: object) -> None:
        raise AssertionError(f"connected to {address}")

    async def rebound(*_: object, **__: object) -> object:
        return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("169.254.169.254", 443))]

    monkeypatch.setattr(socket.socket, "connect", connect)
    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", rebound)
    fault = await failure("https://panel.example/api/v2", allow_private=False)
    assert isinstance(fault, Unsent)
    assert "169.254.169.254 is not a public address" in str(fault)


@pytest.mark.parametrize("literal", ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "0x7f.1", "2130706433", "0177.0.0.1"])
async def test_no_writing_of_this_machines_address_is_reached(literal: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(asyncio.BaseEventLoop, "getaddrinfo", no_address(socket.gaierror("no such name")))
        try:
            fault = await failure(f"https://{literal}/api/v2", allow_private=False)
        except ValueError:
            return  # not an address at all
    assert isinstance(fault, Unsent)
    assert fault.evidence["phase"] == "connecting"


async def test_a_socket_drops_what_is_given_up() -> None:
    info = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("127.0.0.1", 9))
    with factory(allow_private=True, give_up_s=20)(info) as sock:
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 20_000
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8) == b"\x01\0\0\0\0\0\0\0"
    with pytest.raises(PermissionError):
        factory(allow_private=False, give_up_s=20)(info)


@pytest.mark.parametrize(
    "url",
    ["http://panel.example/api/v2", "ftp://panel.example", "panel.example", "https://", "https://u:p@panel.example/"],
)
def test_an_address_that_cannot_be_used_is_a_mistake_of_the_rules(url: str) -> None:
    with pytest.raises(ValueError, match="alpha: url: ") as caught:
        Transport("alpha", url, KEY)
    assert "u:p" not in str(caught.value)


@pytest.mark.parametrize("url", ["https://[", "https://panel.example:99999/"])
def test_an_address_that_is_none_is_a_mistake_too(url: str) -> None:
    with pytest.raises(ValueError, match="alpha: url: not an address"):
        Transport("alpha", url, KEY)


def test_an_empty_key_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="alpha: the key is empty"):
        Transport("alpha", "https://panel.example/", "")
