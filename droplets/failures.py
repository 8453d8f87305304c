"""From what pydo raises to our own errors: what is wrong, what to do, and whether asking again may help."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from droplets.errors import DropletsError, LostError, NotThereError, RefusedError

TOKENS = "https://cloud.digitalocean.com/account/api/tokens"
STATUS = "https://status.digitalocean.com"


@dataclass(frozen=True)
class Failure:
    """
    One request that failed.

    + error: what to raise in the end
    + passes: whether the same request may succeed later, default False
    + limited: whether it was turned away unread, because there were too many, default False
    + after: seconds until then, where DigitalOcean says so, default None
    """

    error: DropletsError
    passes: bool = False
    limited: bool = False
    after: float | None = None


def of(error: Exception, what: str, url: str) -> Failure | None:
    """Say what an error of pydo means; None where it is none of its kind."""
    from azure.core import exceptions
    from requests.exceptions import RequestException

    response = getattr(error, "response", None)
    status = int(getattr(response, "status_code", None) or 0)
    if isinstance(error, exceptions.IncompleteReadError):
        text = f"could not {what}: the connection to {url} ended before the answer did; run again"
    elif response is not None and status >= 300:
        return answered(status, response.headers, _message(error), what)
    elif isinstance(error, exceptions.HttpResponseError | ValueError):
        text = strange(url, f"that is none ({status or 'no JSON'}) when asked to {what}")
    elif isinstance(error, exceptions.ServiceRequestTimeoutError | exceptions.ServiceResponseTimeoutError):
        text = f"could not {what}: {url} did not answer in time; see {STATUS}, and run again"
    elif isinstance(error, exceptions.ServiceRequestError):
        text = (
            f"could not {what}: {url} cannot be reached ({error}); look at this machine's network and proxy"
        )
    elif isinstance(error, exceptions.AzureError | RequestException):
        text = f"could not {what}: the connection to {url} ended before the answer did; run again"
    else:
        return None
    return Failure(LostError(text), passes=True)


def answered(status: int, headers: Mapping[str, str], message: str, what: str) -> Failure:
    """Say what an answer with an error means; `message` is DigitalOcean's own."""
    said = f"{status}{': ' if message else ''}{message}"
    if status == 401:
        return Failure(
            RefusedError(
                f"DigitalOcean refuses the token of DIGITALOCEAN_TOKEN ({said}): it is mistyped, expired or "
                f"revoked; make another at {TOKENS}"
            )
        )
    if status == 403:
        return Failure(
            RefusedError(
                f"the token of DIGITALOCEAN_TOKEN may not {what} ({said}); make one with the scopes of "
                f"docs/droplets.md at {TOKENS}"
            )
        )
    if status == 404:
        return Failure(NotThereError(f"could not {what}: DigitalOcean does not have it ({said})"))
    if status == 429:
        after = _after(headers)
        when = "soon" if after is None else f"in {after:.0f} s"
        text = f"could not {what}: DigitalOcean's rate limit is reached ({said}); run again {when}"
        return Failure(RefusedError(text), passes=True, limited=True, after=after)
    if status >= 500:
        text = f"could not {what}: DigitalOcean's API failed ({said}); see {STATUS}, and run again"
        return Failure(LostError(text), passes=True)
    return Failure(RefusedError(f"could not {what}: DigitalOcean refuses the request ({said}); correct it"))


def strange(url: str, how: str) -> str:
    """Say that an answer is not one of DigitalOcean's API."""
    remedy = "is that DigitalOcean's API? Look at HOSTWRIGHT_DIGITALOCEAN_URL and proxies"
    return f"{url} gave an answer {how}: {remedy}"


def _after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds to wait; the limit's own reset is a time since 1970."""
    lower = {key.lower(): value for key, value in headers.items()}
    for key, base in (("retry-after", 0.0), ("ratelimit-reset", time.time())):
        try:
            seconds = float(lower[key]) - base
        except (KeyError, ValueError):
            continue
        return max(1.0, seconds)
    return None


def _message(error: Exception) -> str:
    try:
        said = error.response.json()["message"]  # type: ignore[attr-defined]  # of an HttpResponseError
    except Exception:  # a proxy's page, or half an answer: the status says enough
        return ""
    return " ".join(str(said).split())[:300]
