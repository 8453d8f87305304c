"""What holds for all unit tests."""

from __future__ import annotations

from hypothesis import settings

# On a busy machine one example may take long; what is too slow is no matter of a test.
settings.register_profile("hostwright", deadline=None)
settings.load_profile("hostwright")
