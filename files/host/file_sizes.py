"""How much a directory holds."""

import os


def bytes_below(path):
    """Return the bytes of all files of a tree; none where it is not there."""
    total = 0
    for top, _, names in os.walk(path):
        for name in names:
            try:
                total += os.lstat(os.path.join(top, name)).st_size
            except FileNotFoundError:
                continue  # turned over just now
    return total
