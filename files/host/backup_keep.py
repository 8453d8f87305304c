# Which backups are kept: a pure function of their stamps.
import calendar
import datetime

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
