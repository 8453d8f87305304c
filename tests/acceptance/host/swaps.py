# Whether a file is in use as swap, and the sizes that the kernel lists for its path, in KiB. ABOUT: the path.
# mypy: ignore-errors
import errno
import os

from tests.acceptance.host.common import ABOUT, answer


def in_use(path):
    """Ask the kernel about this very file: where hosts share a kernel, its list has the others' too."""
    if not os.path.exists(path):
        return False
    descriptor = os.open(path, os.O_WRONLY)
    try:
        # Nothing is written: no byte is given. Only a file in use as swap refuses even that.
        os.pwrite(descriptor, b"", 0)
    except OSError as error:
        if error.errno == errno.ETXTBSY:
            return True
        raise
    finally:
        os.close(descriptor)
    return False


with open("/proc/swaps", encoding="utf-8") as file:
    rows = [line.split() for line in file.readlines()[1:]]
answer({"in_use": in_use(ABOUT), "sizes": [int(row[2]) for row in rows if row[0] == ABOUT]})
