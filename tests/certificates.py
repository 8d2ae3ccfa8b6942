"""A certificate authority for one test run: it signs what it is told, good or bad."""

import ssl
import subprocess
from pathlib import Path

_RULES = """
[ca]
default_ca = own
[own]
database = index.txt
new_certs_dir = .
serial = serial
default_md = sha256
policy = any
copy_extensions = copy
unique_subject = no
[any]
commonName = optional
"""

_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


class Authority:
    """Keeps its files in `folder`; wants the `openssl` command, which comes with the certificates of the system."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "rules").write_text(_RULES)
        (folder / "index.txt").write_text("")
        (folder / "serial").write_text("01\n")
        extension = ("-addext", "basicConstraints=critical,CA:TRUE")
        self._openssl("req", "-x509", *_NEW_KEY, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=ca", *extension)

    def trust(self) -> ssl.SSLContext:
        """What a client needs to believe this authority."""
        return ssl.create_default_context(cafile=str(self._folder / "ca.pem"))

    def server(self, name: str = "IP:127.0.0.1", *, expired: bool = False) -> ssl.SSLContext:
        """What a server needs to call itself `name`."""
        leaf = f"{name.replace(':', '_')}{'_expired' if expired else ''}"
        subject = ("-subj", "/CN=panel", "-addext", f"subjectAltName={name}")
        self._openssl("req", *_NEW_KEY, "-keyout", f"{leaf}.key", "-out", f"{leaf}.csr", *subject)
        until = "20200102000000Z" if expired else "20990101000000Z"
        dates = ("-startdate", "20200101000000Z", "-enddate", until)
        signer = ("-config", "rules", "-cert", "ca.pem", "-keyfile", "ca.key")
        self._openssl("ca", "-batch", "-notext", *signer, "-in", f"{leaf}.csr", "-out", f"{leaf}.pem", *dates)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._folder / f"{leaf}.pem", self._folder / f"{leaf}.key")
        return context

    def _openssl(self, *arguments: str) -> None:
        subprocess.run(("openssl", *arguments), cwd=self._folder, check=True, capture_output=True)
