"""
What the kernel knows of its clock: whether somebody keeps it, and how wrong it may be.

It is the machine's, with all its hosts: there is no namespace for it. What is said here changes no time: an
NTP client says it, or does not say it any more. Afterwards it is as it was.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from lab import places
from lab.locks import locked

MAXERROR, STATUS = 0x0004, 0x0010
UNSYNC = 0x0040
# What the kernel has where nobody ever told it better.
UNKNOWN = 16_000_000
# An NTP client of this machine may say something else meanwhile.
AGAIN_SECONDS = 0.5


class Timex(ctypes.Structure):
    """`struct timex`, as adjtimex(2) has it."""

    _fields_ = [
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_long * 24),
    ]


def _adjtimex(about: Timex) -> Timex:
    if ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(about)) < 0:
        raise OSError(ctypes.get_errno(), f"adjtimex: {os.strerror(ctypes.get_errno())}")
    return about


def known() -> tuple[int, int]:
    """Return the kernel's status bits and its largest possible error, in microseconds."""
    about = _adjtimex(Timex())
    return about.status, about.maxerror


def say(status: int, maxerror: int) -> None:
    """Have the kernel know it so; the time and its speed stay as they are."""
    _adjtimex(Timex(modes=MAXERROR | STATUS, status=status, maxerror=maxerror))


@contextmanager
def said_to_be(*, kept: bool) -> Iterator[None]:
    """Have the kernel know meanwhile that its clock is kept, or that it is not; nobody else does so then."""

    def again() -> None:
        while True:
            status, _ = known()
            say(status & ~UNSYNC if kept else status | UNSYNC, 0 if kept else UNKNOWN)
            if over.wait(AGAIN_SECONDS):
                return

    over = threading.Event()
    with locked(places.MACHINE / "clock.lock"):
        before = known()
        teller = threading.Thread(target=again)
        teller.start()
        try:
            yield
        finally:
            over.set()
            teller.join()
            say(*before)
