"""Fetch the secrets that are given on this machine, just before they are needed."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pyrage
import yaml
from pydantic import SecretStr

from settings.app import App
from settings.errors import SettingsError
from settings.secrets import SecretSource
from settings.types import printable

IDENTITY_VARIABLE = "HOSTWRIGHT_AGE_IDENTITY"
IDENTITY_DEFAULT = Path("~/.config/hostwright/age.txt")


def given(app: App, project: Path, environ: Mapping[str, str] = os.environ) -> dict[str, SecretStr]:
    """
    Return the app's secrets that come from this machine, by name; generated ones are the host's own.

    + app: whose secrets
    + project: directory that age files are relative to
    + environ: default this process's environment

    Raises SettingsError naming every secret that is not there, with where to put it.
    """
    return values(app.secrets, f"apps.{app.key}.secrets", project, environ)


def values(
    sources: Mapping[str, SecretSource], where: str, project: Path, environ: Mapping[str, str] = os.environ
) -> dict[str, SecretStr]:
    """
    Return the secrets that come from this machine, by name; generated ones are the host's own.

    + sources: where each comes from, by name
    + where: how the settings call them, such as "apps.shop.secrets"
    + project: directory that age files are relative to
    + environ: default this process's environment

    Raises SettingsError naming every secret that is not there, with where to put it.
    """
    found: dict[str, SecretStr] = {}
    missing: list[str] = []
    for key, source in sources.items():
        try:
            if source.source == "environment":
                found[key] = _from_environment(source, environ)
            elif source.source == "age":
                found[key] = _from_age(key, source, project, environ)
        except ValueError as error:
            missing.append(f"{where}.{key}: {error}")
    if missing:
        raise SettingsError("secrets", missing)
    return found


def _from_environment(source: SecretSource, environ: Mapping[str, str]) -> SecretStr:
    value = environ.get(source.variable or "", "")
    if not value:
        raise ValueError(f"environment variable {source.variable} is not set; export it and run again")
    return _one_line(value)


def _from_age(key: str, source: SecretSource, project: Path, environ: Mapping[str, str]) -> SecretStr:
    content = _decrypted(project / (source.file or ""), environ.get(IDENTITY_VARIABLE, ""))
    entry = source.key or key
    if not isinstance(content.get(entry), str):
        raise ValueError(f"{source.file} has no text under {entry!r}; edit the file and encrypt it again")
    return _one_line(content[entry])


def _one_line(value: str) -> SecretStr:
    if not value.strip():
        raise ValueError("is blank; give it a value")
    return SecretStr(printable(value))


@cache
def _decrypted(path: Path, identity_path: str) -> dict[str, Any]:
    identity_file = Path(identity_path) if identity_path else IDENTITY_DEFAULT.expanduser()
    if not path.is_file():
        raise ValueError(f"{path} does not exist; make it with: age -r RECIPIENT -o {path.name} secrets.yaml")
    if not identity_file.is_file():
        raise ValueError(f"age identity {identity_file} does not exist; set {IDENTITY_VARIABLE} to yours")
    lines = identity_file.read_text(encoding="utf-8").splitlines()
    try:
        identities = [pyrage.x25519.Identity.from_str(line) for line in lines if line.startswith("AGE-")]
        content = yaml.safe_load(pyrage.decrypt(path.read_bytes(), identities))
    except (pyrage.DecryptError, pyrage.IdentityError) as error:
        raise ValueError(f"{path.name} cannot be decrypted with {identity_file}: {error}") from None
    except yaml.YAMLError:
        # Its text would quote the line that it stumbled over, which is a secret.
        raise ValueError(
            f"{path.name} decrypts, but its content is not YAML of the form 'name: value'"
        ) from None
    if not isinstance(content, dict):
        raise ValueError(f"{path.name} decrypts, but its content is not YAML of the form 'name: value'")
    return content
