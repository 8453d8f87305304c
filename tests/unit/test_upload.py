"""Where an upload goes on, and how often it says so."""

from __future__ import annotations

import hashlib
import io

from hypothesis import given
from hypothesis import strategies as st

from operations.upload import Kept, agreed, steps

NOTHING = Kept(0, "-")


def kept(content: bytes) -> Kept:
    return Kept(len(content), hashlib.sha256(content).hexdigest())


@given(st.binary(max_size=200), st.integers(0, 200))
def test_goes_on_behind_what_is_there(content: bytes, there: int) -> None:
    said: list[str] = []
    source = io.BytesIO(content)
    begin = agreed(source, kept(content[:there]) if there else NOTHING, said.append)
    assert content[:begin] + source.read() == content
    assert begin == min(there, len(content))
    assert said == []


@given(st.binary(min_size=1, max_size=200), st.binary(min_size=1, max_size=220))
def test_what_is_damaged_is_sent_anew(content: bytes, there: bytes) -> None:
    said: list[str] = []
    source = io.BytesIO(content)
    begin = agreed(source, kept(there), said.append)
    assert there[:begin] + source.read() == content
    assert (begin == 0) is (not content.startswith(there))
    assert said == ([] if begin else ["what an earlier run sent is damaged; it is sent anew"])


@given(st.integers(1, 10**9), st.integers(0, 10**9))
def test_every_tenth_is_told_once_and_the_end_always(size: int, begin: int) -> None:
    told = list(steps(size, begin))
    assert [percent for _, percent in told] == [
        percent for percent in range(10, 101, 10) if -(-size * percent // 100) > begin
    ]
    assert begin >= size or told[-1] == (size, 100)
