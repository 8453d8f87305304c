# What the service user could change below some directories: own and writable, by group, or by everybody.
# ABOUT: user, places [directories].
# mypy: ignore-errors
import grp
import os
import pwd
import stat

from tests.acceptance.host.common import ABOUT, answer

user = pwd.getpwnam(ABOUT["user"])
groups = {user.pw_gid, *(one.gr_gid for one in grp.getgrall() if ABOUT["user"] in one.gr_mem)}


def may_write(path):
    status = os.lstat(path)
    if stat.S_ISLNK(status.st_mode):
        # Its target decides; who may replace the link itself is a matter of the directory.
        return False
    mode = status.st_mode
    # An owner can give itself the right at any time.
    if status.st_uid == user.pw_uid:
        return True
    return bool(mode & stat.S_IWOTH) or (status.st_gid in groups and bool(mode & stat.S_IWGRP))


found, count = [], 0
for place in ABOUT["places"]:
    for directory, below, names in os.walk(place):
        for path in [directory, *(os.path.join(directory, name) for name in [*below, *names])]:
            count += 1
            if len(found) < 10 and may_write(path) and path not in found:
                found.append(path)
answer({"count": count, "found": found})
