# Room on the disk of the server, before and while a database is filled. A part of restore-load.py.
import contextlib
import os
import threading

from restore_common import FailedError, megabytes, psql

# What stays free: a server that cannot write its log any more ends, and the live database with it.
LEFT = 64 << 20
POLL = 0.1


def free():
    found = os.statvfs(os.environ["CLUSTER_DATA"])
    return found.f_bavail * found.f_frsize


def room(size):
    """Refuse what would not fit: the database, a tenth, and the server's log of its rows being written."""
    log = int(psql("select pg_size_bytes(current_setting('max_wal_size'));")[0][0]) if size else 0
    needed = size + size // 10 + min(size, log) + LEFT
    if free() < needed:
        raise FailedError(
            f"{os.environ['CLUSTER_DATA']} has {megabytes(free())} free, and the restored database may need "
            f"{megabytes(needed)} beside the live one; make room, or drop one that was kept: see history.py"
        )


@contextlib.contextmanager
def watched(database):
    """End the sessions in a database that is being filled when it takes more room than it was thought to."""
    done, low = threading.Event(), threading.Event()

    def watch():
        while not done.wait(POLL):
            if free() < LEFT:
                low.set()
                with contextlib.suppress(FailedError):
                    psql(
                        "select pg_terminate_backend(pid) from pg_stat_activity where datname = :'name';",
                        variables={"name": database},
                    )

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    except FailedError:
        if not low.is_set():
            raise
        raise FailedError(
            f"it needs more room than was expected, and {os.environ['CLUSTER_DATA']} had less than "
            f"{megabytes(LEFT)} free: it was given up before the server ran out; make room"
        ) from None
    finally:
        done.set()
        thread.join()
