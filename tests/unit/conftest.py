"""What holds for all unit tests."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.unit.gates import Page, Site

# On a busy machine one example may take long; what is too slow is no matter of a test.
settings.register_profile("hostwright", deadline=None)
settings.load_profile("hostwright")


@pytest.fixture
def site() -> Iterator[Site]:
    """Serve pages for gates that ask for one."""
    made = Site(("127.0.0.1", 0), Page)
    threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield made
    made.shutdown()
    made.server_close()
