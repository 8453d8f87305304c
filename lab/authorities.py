"""Certificates that this machine trusts beyond the usual ones: a host needs them to reach the registries."""

from __future__ import annotations

import configparser
import os
import re
from pathlib import Path

from lab.run import run

_PEM = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
_SYSTEM = "etc/ssl/certs/ca-certificates.crt"


def machine_bundle() -> str:
    """Return the certificates in SSL_CERT_FILE, PIP_CERT or pip's own settings; empty when nobody set one."""
    chosen = [os.environ.get("SSL_CERT_FILE"), os.environ.get("PIP_CERT")]
    pip = configparser.ConfigParser(interpolation=None)
    pip.read("/etc/pip.conf")
    chosen.append(pip.get("global", "cert", fallback=None))
    for name in chosen:
        if name and Path(name).is_file():
            return Path(name).read_text()
    return ""


def certificates(bundle: str) -> list[str]:
    """Return the certificates of a bundle, in its order."""
    return _PEM.findall(bundle)


def trust(root: Path) -> None:
    """
    Make an unpacked system trust what this machine trusts, for its own programs, pip and uv.

    + root: the top of the unpacked system.

    Does nothing on a machine with no certificates of its own.
    """
    known = set(certificates((root / _SYSTEM).read_text()))
    extra = [one for one in certificates(machine_bundle()) if one not in known]
    if not extra:
        return
    directory = root / "usr/local/share/ca-certificates"
    directory.mkdir(parents=True, exist_ok=True)
    for number, certificate in enumerate(extra, start=1):
        (directory / f"lab-{number}.crt").write_text(certificate + "\n")
    run("chroot", root, "update-ca-certificates")
    (root / "etc/pip.conf").write_text(f"[global]\ncert = /{_SYSTEM}\n")
    (root / "etc/uv").mkdir(exist_ok=True)
    (root / "etc/uv/uv.toml").write_text("system-certs = true\n")
