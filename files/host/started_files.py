"""Which files differ from what a unit noted of them when it started, as sha256sum writes it."""

import hashlib


def changed_since(record):
    """Return the paths of those that differ; None where nothing is noted."""
    try:
        with open(record, encoding="utf-8") as file:
            noted = [line.rstrip("\n").split(maxsplit=1) for line in file]
    except OSError:
        return None
    return [path for digest, path in noted if digest_now(path) != digest]


def digest_now(path):
    """Return a file's SHA-256; None where it cannot be read."""
    try:
        with open(path, "rb") as file:
            return hashlib.sha256(file.read()).hexdigest()
    except OSError:
        return None
