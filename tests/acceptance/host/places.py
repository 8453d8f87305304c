# Type, owner, group and mode of files. ABOUT: list of paths; a pattern with * stands for all that it finds.
# mypy: ignore-errors
import glob
import grp
import os
import pwd
import stat

from tests.acceptance.host.common import ABOUT, answer

KINDS = {stat.S_IFDIR: "directory", stat.S_IFREG: "file", stat.S_IFLNK: "link", stat.S_IFSOCK: "socket"}


def named(lookup, number, field):
    try:
        return getattr(lookup(number), field)
    except KeyError:
        return str(number)


def state(path):
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return None
    return [
        KINDS.get(stat.S_IFMT(status.st_mode), "other"),
        named(pwd.getpwuid, status.st_uid, "pw_name"),
        named(grp.getgrgid, status.st_gid, "gr_name"),
        f"{stat.S_IMODE(status.st_mode):04o}",
    ]


paths = [path for one in ABOUT for path in (sorted(glob.glob(one)) if "*" in one else [one])]
answer({path: state(path) for path in paths})
