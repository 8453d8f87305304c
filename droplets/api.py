"""DigitalOcean's API through its own client, pydo: pages, bounded patience, and errors with a remedy."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from droplets import failures
from droplets.droplet import Droplet
from droplets.errors import DropletsError, LostError

if TYPE_CHECKING:
    import pydo

TOKEN = "DIGITALOCEAN_TOKEN"  # noqa: S105  # the variable's name
URL = "HOSTWRIGHT_DIGITALOCEAN_URL"
DEFAULT_URL = "https://api.digitalocean.com"
PAGE = 200
# An account has some dozens of droplets; a list without end is a broken answer.
PAGES = 100


@dataclass(frozen=True)
class Patience:
    """
    How long one request may take.

    + attempts: how often it is sent, where that does no harm, default 4
    + pause: seconds before the second attempt, doubled before each further one, default 0.5
    + seconds: that all pauses may take together, those that a rate limit asks for included, default 30
    + connect, read: seconds until a connection stands, and between two bytes of an answer, default 5 and 10
    """

    attempts: int = 4
    pause: float = 0.5
    seconds: float = 30
    connect: float = 5
    read: float = 10


class Api:
    """
    What this project asks of DigitalOcean. pydo is imported with the first request: it takes 0.3 s.

    + token: of an account
    + url: where the API is, default DigitalOcean's
    + patience: default as its class says
    + sleep: waits, default time.sleep

    Raises DropletsError, of each method as well.

    Example: `Api.of(os.environ).droplets(tag="hostwright-staging")`
    """

    def __init__(
        self,
        token: str,
        *,
        url: str = DEFAULT_URL,
        patience: Patience | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        # A client that meets another character shows the whole header in its error.
        if not re.fullmatch(r"[A-Za-z0-9._~+/=-]+", token):
            raise DropletsError(
                f"{TOKEN} is no token: it has a character that tokens do not have; copy it again, or make "
                f"another at {failures.TOKENS}"
            )
        parts = urlsplit(url)
        self._plain = parts.scheme == "http" and parts.hostname in ("127.0.0.1", "::1", "localhost")
        if not parts.hostname or (parts.scheme != "https" and not self._plain):
            raise DropletsError(
                f"{URL} is {url!r}: the token goes there, so write https://HOST (http only on this machine)"
            )
        self._token, self._url, self._sleep = token, url.rstrip("/"), sleep
        self._patience = patience or Patience()

    @classmethod
    def of(cls, environ: Mapping[str, str] = os.environ, patience: Patience | None = None) -> Api:
        """Return the API as the environment says; raise DropletsError where there is no token."""
        token = environ.get(TOKEN, "").strip()
        if not token:
            raise DropletsError(f"{TOKEN} is not set; make a token at {failures.TOKENS} and export it")
        return cls(token, url=environ.get(URL) or DEFAULT_URL, patience=patience)

    @cached_property
    def _client(self) -> pydo.Client:
        import pydo

        # Its own retries would send a POST again whose answer was an error, and sleep as long as it is told.
        return pydo.Client(
            self._token,
            endpoint=self._url,
            retry_total=0,
            permit_redirects=False,
            connection_timeout=self._patience.connect,
            read_timeout=self._patience.read,
        )

    def droplets(self, *, tag: str | None = None, name: str | None = None) -> list[Droplet]:
        """Return all droplets that have a tag, or a name, which is no key: several may have the same."""
        given = {key: value for key, value in (("tag_name", tag), ("name", name)) if value is not None}
        found = self._all("list the droplets", "droplets", lambda: self._client.droplets.list, **given)
        return [Droplet.of(one) for one in found]

    def droplet(self, number: int) -> Droplet:
        """Return one droplet; raise NotThereError where it is gone."""
        answer = self._call("read the droplet", lambda: self._client.droplets.get, number)
        return Droplet.of(answer.get("droplet"))

    def create(self, body: dict[str, Any]) -> Droplet:
        """Make a droplet: sent once. Raise LostError where it may be there all the same."""
        answer = self._call("create the droplet", lambda: self._client.droplets.create, body, again=False)
        try:
            return Droplet.of(answer.get("droplet"))
        except DropletsError as error:
            raise LostError(str(error)) from None

    def destroy(self, number: int) -> None:
        """Destroy a droplet; raise NotThereError where it is gone already."""
        self._call("destroy the droplet", lambda: self._client.droplets.destroy, number)

    def keys(self) -> list[dict[str, Any]]:
        """Return the SSH keys of the account: each with id, name, fingerprint and public_key."""
        return self._all("list the SSH keys", "ssh_keys", lambda: self._client.ssh_keys.list)

    def add_key(self, label: str, public_key: str) -> None:
        """Upload an SSH key: sent once. Raise LostError where it may be there all the same."""
        body = {"name": label, "public_key": public_key}
        self._call("upload the SSH key", lambda: self._client.ssh_keys.create, body, again=False)

    def _all(self, what: str, key: str, method: Callable[[], Any], **given: Any) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for page in range(1, PAGES + 1):
            answer = self._call(what, method, per_page=PAGE, page=page, **given)
            entries = answer.get(key)
            if not isinstance(entries, list):
                raise DropletsError(failures.strange(self._url, f"without a list of {key}"))
            found += entries
            pages = (answer.get("links") or {}).get("pages") or {}
            if not pages.get("next"):
                return found
        raise DropletsError(failures.strange(self._url, f"with more than {PAGES} pages of {key}"))

    def _call(
        self, what: str, method: Callable[[], Any], *words: Any, again: bool = True, **given: Any
    ) -> Mapping[str, Any]:
        """Send one request, and again where that does no harm and may help."""
        client = method()
        if self._plain:
            given["enforce_https"] = False
        left = self._patience.seconds
        for attempt in range(1, self._patience.attempts + 1):
            try:
                answer = client(*words, **given)
            except Exception as error:
                failed = failures.of(error, what, self._url)
                if failed is None:
                    raise
                # Of a rate limit one knows that nothing was done.
                pause = (
                    failed.after if failed.after is not None else self._patience.pause * 2 ** (attempt - 1)
                )
                last = attempt == self._patience.attempts or pause > left
                if last or not failed.passes or not (again or failed.limited):
                    raise failed.error from None
                left -= pause
                self._sleep(pause)
            else:
                if answer is not None and not isinstance(answer, Mapping):
                    raise DropletsError(failures.strange(self._url, "that is no table"))
                # Of some requests pydo gives the body of a 404 as if it were the answer.
                if answer and answer.get("id") == "not_found":
                    raise failures.answered(404, {}, str(answer.get("message")), what).error
                return answer or {}
        raise AssertionError("the last attempt raises")
