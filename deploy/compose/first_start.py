"""Makes what a first start needs and nobody shall know: secrets, and a certificate signed by itself.

What is there already stays: a second start changes nothing. Each folder is a volume of its own, that only its reader
has; so files can be read by all, and need no common user.
"""

import argparse
import secrets
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path

_PANELS = ("one", "two")  # the sandboxes; each knows its name as its key


def main() -> None:
    """Fill the folders that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gateway", type=Path, required=True, help="pepper, ledger URL, keys of the panels")
    parser.add_argument("--database", type=Path, required=True, help="PostgreSQL's password")
    parser.add_argument("--certificate", type=Path, required=True, help="certificate.pem and key.pem")
    parser.add_argument("--ledger", required=True, help="the ledger's URL, with {password} where it belongs")
    parser.add_argument("--name", default="localhost", help="whom the certificate is for")
    parser.add_argument("--openssl", default="openssl")
    given = parser.parse_args()
    password = _once(given.database / "password", lambda: secrets.token_hex(32))
    _once(given.gateway / "ledger", lambda: given.ledger.format(password=password))
    _once(given.gateway / "pepper", lambda: secrets.token_hex(32))
    for panel in _PANELS:
        _once(given.gateway / panel, partial(str, panel))
    _certificate(given.certificate, given.name, given.openssl)


def _once(path: Path, made: Callable[[], str]) -> str:
    """The file's text; where there is none, it is made whole or not at all."""
    if not path.exists():
        _put(path, made().encode())
    return path.read_text()


def _put(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(path.name + ".part")
    unfinished.write_bytes(content)
    unfinished.chmod(0o444)
    unfinished.replace(path)
    print(f"made {path}")  # noqa: T201 - a program's word to who starts it


def _certificate(folder: Path, name: str, openssl: str) -> None:
    """A certificate for ten years; put one that browsers and shops trust in its place before you sell."""
    folder.mkdir(parents=True, exist_ok=True)
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    if certificate.exists() and key.exists():
        return
    made, secret = folder / "certificate.made", folder / "key.made"
    kept = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "3650"]
    kind = "IP" if name.replace(".", "").isdecimal() else "DNS"
    subject = ["-subj", f"/CN={name}", "-addext", f"subjectAltName={kind}:{name},DNS:localhost,IP:127.0.0.1"]
    subprocess.run(  # noqa: S603 - our own words
        [openssl, *kept, *subject, "-keyout", str(secret), "-out", str(made)], check=True, capture_output=True
    )
    _put(key, secret.read_bytes())
    _put(certificate, made.read_bytes())
    secret.unlink()
    made.unlink()


if __name__ == "__main__":
    main()
