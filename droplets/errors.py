"""What can go wrong with DigitalOcean's API; each message names the remedy, and none the token."""

from __future__ import annotations


class DropletsError(Exception):
    """Raised when something could not be done; the message names the remedy."""


class NotThereError(DropletsError):
    """Raised for what DigitalOcean does not have."""


class RefusedError(DropletsError):
    """Raised for a request that DigitalOcean understood and will not do: nothing has changed."""


class LostError(DropletsError):
    """Raised where a request may have been done or not: no answer came, or an error of theirs."""
