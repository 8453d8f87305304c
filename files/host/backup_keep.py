# Which backups are kept, a pure function of their stamps; and the end of the others.
import calendar
import datetime
import fcntl
import os

from backup_common import backups, remove, say, state
from whole_files import sync

RECENT = 24 * 3600


def kept(stamps, daily, weekly, monthly, always=()):
    """
    Return the stamps that stay: the newest of each of the last days, weeks and months that have one.

    What is not a day older than the newest stays too: one made by hand is not lost to the next.
    `always` stay whatever the rest says: the newest good backup, and the newest that is proven.
    """
    newest_first = sorted(set(stamps), reverse=True)
    found = {stamp for stamp in always if stamp in newest_first}
    found |= {stamp for stamp in newest_first if at(newest_first[0]) - at(stamp) < RECENT}
    for period, count in ((day, daily), (week, weekly), (month, monthly)):
        seen = set()
        for stamp in newest_first:
            if period(stamp) not in seen and len(seen) < count:
                seen.add(period(stamp))
                found.add(stamp)
    return found


def at(stamp):
    numbers = (stamp[:4], stamp[4:6], stamp[6:8], stamp[9:11], stamp[11:13], stamp[13:15])
    return calendar.timegm(tuple(map(int, numbers)))


def day(stamp):
    return stamp[:8]


def week(stamp):
    """Return the week, in UTC as the stamps are; it begins on Monday, as in ISO 8601."""
    return tuple(datetime.date(int(stamp[:4]), int(stamp[4:6]), int(stamp[6:8])).isocalendar())[:2]


def month(stamp):
    return stamp[:6]


def in_use(path):
    """Return whether a restore reads a backup; it holds the directory's lock as long as it does."""
    handle = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def prune(config, newest):
    """Remove the backups that the policy lets go."""
    found = backups(config)
    proven = state(config).get("proven") or {}
    keep = config["keep"]
    stay = kept(
        list(found), keep["daily"], keep["weekly"], keep["monthly"], always=[proven.get("stamp"), newest]
    )
    for stamp in sorted(set(found) - stay):
        if in_use(f"{config['root']}/{stamp}"):
            say(f"{config['app']}: backup {stamp} is being restored; it stays until the next time")
            continue
        # Under another name first: cut off half way, it must not look like one that is whole.
        gone = f"{config['root']}/.{stamp}.partial"
        remove(gone)
        os.rename(f"{config['root']}/{stamp}", gone)
        sync(config["root"])
        remove(gone)
        say(f"{config['app']}: removed backup {stamp}, which the policy lets go")
