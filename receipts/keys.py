"""The operator's key, which signs receipts; made on this machine once, and never leaves it."""

from __future__ import annotations

import base64
import os
import tempfile
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from pyinfra.api.exceptions import PyinfraError

VARIABLE = "HOSTWRIGHT_RECEIPT_KEY"
KIND = "ed25519:"


class ReceiptError(PyinfraError):
    """A receipt or its key cannot be used; the message names the remedy."""


def path() -> Path:
    """Return where the key is: HOSTWRIGHT_RECEIPT_KEY, default ~/.config/hostwright/receipt-key."""
    given = os.environ.get(VARIABLE)
    if given:
        return Path(given).expanduser()
    base = os.environ.get("XDG_CONFIG_HOME")
    return (Path(base) if base else Path.home() / ".config") / "hostwright" / "receipt-key"


def private() -> Ed25519PrivateKey:
    """
    Return the operator's key; it is made where there is none.

    Raises ReceiptError for a file that is no such key, or that others may read.
    """
    file = path()
    if not file.exists():
        _make(file)
    if file.stat().st_mode & 0o077:
        raise ReceiptError(f"the key {file} can be read by others; chmod 600 {file}")
    try:
        key = serialization.load_pem_private_key(file.read_bytes(), password=None)
    except (ValueError, TypeError) as error:
        raise ReceiptError(
            f"{file} is not a private key without a passphrase ({error}); move it away"
        ) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise ReceiptError(f"{file} is not an Ed25519 key; move it away, and a new one is made")
    return key


def own() -> str | None:
    """Return the public half of the operator's key as text; None where there is no key yet."""
    return public(private()) if path().exists() else None


def public(key: Ed25519PrivateKey) -> str:
    """Return the public half of a key as one word, as `receipt_keys` lists it."""
    raw = key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return KIND + base64.b64encode(raw).decode()


def sign(content: bytes, key: Ed25519PrivateKey) -> str:
    """Return the signature of some bytes as text."""
    return base64.b64encode(key.sign(content)).decode()


def signed(content: bytes, signature: str, by: str) -> bool:
    """Return whether a signature of some bytes is one of a public key's."""
    try:
        key = Ed25519PublicKey.from_public_bytes(base64.b64decode(by.removeprefix(KIND), validate=True))
        key.verify(base64.b64decode(signature, validate=True), content)
    except (InvalidSignature, ValueError):
        return False
    return True


def _make(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    text = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    descriptor, aside = tempfile.mkstemp(dir=file.parent, prefix=".new-")  # 0600
    with os.fdopen(descriptor, "wb") as new:
        new.write(text)
    try:
        os.link(aside, file)  # where two make one at once, the first stays
    except FileExistsError:
        pass
    finally:
        Path(aside).unlink()
