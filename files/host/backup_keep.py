# Which backups are kept: a pure function of their stamps.
import calendar
import time

RECENT = 24 * 3600


def kept(stamps, daily, weekly, monthly, always=()):
    """
    Return the stamps that stay: the newest of each of the last days, weeks and months that have one.

    What is not a day older than the newest stays too: one made by hand before a change is not lost to the next.

    `always` stay whatever the rest says: the newest good backup, and the newest that is proven.
    """
    newest_first = sorted(set(stamps), reverse=True)
    found = {stamp for stamp in always if stamp in newest_first}
    found |= {stamp for stamp in newest_first if at(newest_first[0]) - at(stamp) < RECENT}
    # Weeks begin on Monday, as in ISO 8601; all of it in UTC, as the stamps are.
    for pattern, count in (("%Y-%m-%d", daily), ("%G-%V", weekly), ("%Y-%m", monthly)):
        seen = set()
        for stamp in newest_first:
            period = time.strftime(pattern, time.strptime(stamp, "%Y%m%dT%H%M%SZ"))
            if period not in seen and len(seen) < count:
                seen.add(period)
                found.add(stamp)
    return found


def at(stamp):
    return calendar.timegm(time.strptime(stamp, "%Y%m%dT%H%M%SZ"))
