# Changes in directories as they happen, each with the process that made it: the kernel's fanotify. A part of
# config-guard.py.
import ctypes
import os
import struct

MODIFY, ATTRIB, CLOSE_WRITE, MOVED_FROM, MOVED_TO = 0x2, 0x4, 0x8, 0x40, 0x80
CREATE, DELETE, DELETE_SELF, MOVE_SELF, OVERFLOW = 0x100, 0x200, 0x400, 0x800, 0x4000
ON_CHILD, ONDIR = 0x08000000, 0x40000000
NAMES = MOVED_FROM | MOVED_TO | CREATE | DELETE | ONDIR
ALL = NAMES | MODIFY | ATTRIB | CLOSE_WRITE | DELETE_SELF | MOVE_SELF | ON_CHILD
REPORT_DIR_AND_NAME, NONBLOCK, CLOEXEC = 0x400 | 0x800, 0x2, 0x1
ADD, ONLY_DIRECTORIES, AT_FDCWD = 0x1, 0x8, -100
# struct fanotify_event_metadata, and what comes before each of its records.
EVENT, RECORD = struct.Struct("=IBBHQii"), struct.Struct("=BBHQIi")
DIRECTORY_AND_NAME, DIRECTORY = 2, 3
BUFFER = 64 << 10


class Handle(ctypes.Structure):
    """What the kernel calls a file by, whatever its path is."""

    _fields_ = (("size", ctypes.c_uint), ("type", ctypes.c_int), ("bytes", ctypes.c_ubyte * 128))


class Marks:
    """The directories that are watched; raises OSError where the kernel does not permit it."""

    def __init__(self):
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.descriptor = self.call("fanotify_init", REPORT_DIR_AND_NAME | NONBLOCK | CLOEXEC, os.O_RDONLY)
        self.paths = {}

    def call(self, name, *arguments):
        result = getattr(self.libc, name)(*arguments)
        if result < 0:
            raise OSError(ctypes.get_errno(), f"{name}: {os.strerror(ctypes.get_errno())}")
        return result

    def handle(self, path):
        found, mount = Handle(size=128), ctypes.c_int()
        self.call(
            "name_to_handle_at", AT_FDCWD, os.fsencode(path), ctypes.byref(found), ctypes.byref(mount), 0
        )
        return found.type, bytes(found.bytes[: found.size])

    def watch(self, directories):
        """Watch exactly these directories, path → events; one that has gone meanwhile is left out."""
        paths = {}
        for path, events in sorted(directories.items()):
            try:
                handle = self.handle(path)
                if self.paths.get(handle) != (path, events):
                    self.call(
                        "fanotify_mark", self.descriptor, ADD | ONLY_DIRECTORIES,
                        ctypes.c_uint64(events), AT_FDCWD, os.fsencode(path),
                    )  # fmt: skip
            except (FileNotFoundError, NotADirectoryError):
                continue
            paths[handle] = (path, events)
        # What is not watched any more still tells of itself, and is not known: nobody hears it.
        self.paths = paths

    def read(self, identify):
        """
        Return (events, path, who) of all that happened; the path is None where events were lost.

        + identify: what is known of a process, asked at once: it may end at any moment
        """
        found = []
        while True:
            try:
                data = os.read(self.descriptor, BUFFER)
            except BlockingIOError:
                return found
            at = 0
            while at < len(data):
                length, _, _, header, events, _, pid = EVENT.unpack_from(data, at)
                who = identify(pid)
                if events & OVERFLOW:
                    found.append((events, None, who))
                path = self.place(data[at + header : at + length])
                if path is not None:
                    found.append((events, path, who))
                at += length

    def place(self, data):
        at = 0
        while at + RECORD.size <= len(data):
            kind, _, length, _, size, handle_type = RECORD.unpack_from(data, at)
            if kind in (DIRECTORY, DIRECTORY_AND_NAME):
                begin = at + RECORD.size
                directory = self.paths.get((handle_type, data[begin : begin + size]))
                if directory is None:
                    return None
                name = data[begin + size : at + length].partition(b"\0")[0]
                return directory[0] if name in (b"", b".") else f"{directory[0]}/{os.fsdecode(name)}"
            at += length
        return None
