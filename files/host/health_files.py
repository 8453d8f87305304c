"""What health.py says, and the lines that others have written for it."""

import json
import os


def say(line):
    # The unit keeps what is less than a notice out of the journal: systemd's own two lines a round.
    level = "<5>" if "JOURNAL_STREAM" in os.environ else ""
    print(f"{level}{line}", flush=True)


def json_lines(path, count):
    """Return the last whole lines of a file as JSON, the oldest first; none where there is none."""
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            file.seek(max(0, size - 262144))
            lines = file.read().decode(errors="replace").splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return []
    found = []
    for line in lines[-count:]:
        try:
            found.append(json.loads(line))
        except ValueError:
            continue  # cut off by the start of what was read, or by a crash
    return found
