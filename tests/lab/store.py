"""A store that speaks S3, on this machine: for a lab host it is another one."""

from __future__ import annotations

import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lab import state
from tests.lab.playbook import LabHost, shell

NAME = "store.test"
BUCKET = "shop-backups"
CA_FILE = "/etc/ssl/store.pem"
UP_SECONDS = 20


@dataclass(frozen=True)
class Store:
    """
    A store that is up.

    + directory: where the bucket's files lie
    + port: that it listens on, at the machine's end of the lab host's cable
    + environ: what whoever deploys has set: what the store knows the host by, and a passphrase
    """

    directory: Path
    port: int
    environ: dict[str, str]

    @property
    def settings(self) -> dict[str, object]:
        """Return it as group_data declares it."""
        return {
            "endpoint": NAME, "bucket": BUCKET, "port": self.port, "path_style": True, "ca_file": CA_FILE,
            **{
                key: {"source": "environment", "variable": f"STORE_{key.upper()}"}
                for key in ("access_key", "secret_key", "passphrase")
            },
        }  # fmt: skip


@contextmanager
def serving(host: LabHost, directory: Path) -> Iterator[Store]:
    """Serve a bucket to one lab host over TLS, by a name that only it knows, until the end of the block."""
    known = state.load(host.name)
    assert known is not None
    gateway = known.gateway
    make = (
        "umask 077; cd /root; openssl req -x509 -newkey rsa:2048 -nodes -days 3 -subj /CN={0} "
        "-addext subjectAltName=DNS:{0} -keyout store.key -out {1} 2>/dev/null; chmod 0644 {1}; "
        "echo '{2} {0}' >>/etc/hosts"
    )
    shell(host, make.format(NAME, CA_FILE, gateway))
    for file, path in (("cert", CA_FILE), ("key", "/root/store.key")):
        (directory / file).write_text(shell(host, f"cat {path}") + "\n")
    bucket = directory / "store" / BUCKET
    bucket.mkdir(parents=True)
    with socket.socket() as free:
        free.bind((gateway, 0))
        port = free.getsockname()[1]
    environ = {f"STORE_{key}": secrets.token_hex(20) for key in ("ACCESS_KEY", "SECRET_KEY", "PASSPHRASE")}
    log = (directory / "log").open("w")
    with subprocess.Popen(
        [
            "setpriv", "--pdeathsig", "KILL", Path(sys.executable).with_name("rclone"), "serve", "s3",
            "--config", "", "--addr", f"{gateway}:{port}",
            "--cert", directory / "cert", "--key", directory / "key",
            "--auth-key", f"{environ['STORE_ACCESS_KEY']},{environ['STORE_SECRET_KEY']}",
            "--vfs-cache-mode", "off", directory / "store",
        ],
        stdin=subprocess.DEVNULL, stdout=log, stderr=log,
    ) as server:  # fmt: skip
        try:
            _wait(server, gateway, port, directory / "log")
            yield Store(bucket, port, environ)
        finally:
            server.terminate()


def _wait(server: subprocess.Popen[bytes], address: str, port: int, log: Path) -> None:
    deadline = time.monotonic() + UP_SECONDS
    while True:
        try:
            socket.create_connection((address, port), timeout=1).close()
        except OSError:
            if server.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"the store does not come up: {log.read_text()}") from None
            time.sleep(0.1)
        else:
            return
