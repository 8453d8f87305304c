"""Errors of the lab: each says what is wrong and what to do about it."""

from __future__ import annotations


class LabError(Exception):
    """Something could not be done; the message names the remedy."""

    exit_code = 1


class MissingError(LabError):
    """This machine cannot run test hosts as it is; the message says what it lacks."""

    exit_code = 2
