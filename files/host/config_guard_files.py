# What a file of configuration is, and how it differs from what it was: a part of config-guard.py and of the
# programs that ask about it.
import contextlib
import grp
import json
import os
import pwd
import stat

try:
    from _blake2 import blake2b  # alone: hashlib brings OpenSSL, 4 MB that the guard does without
except ImportError:
    from hashlib import blake2b

TEXT = 64 << 10  # a larger file is kept by its digest alone
LINES, WIDTH = 20, 200


def name_of(lookup, number):
    try:
        return lookup(number)[0]
    except KeyError:
        return str(number)


def keyed(key, content):
    return blake2b(content, key=bytes.fromhex(key), digest_size=16).hexdigest()


def entry(path, key, shown):
    """
    Return what is at a path: kind, owner, mode, and of a file its digest with a key of this host's own.

    One that may be shown has its text; of any other there are its keys, each with a digest of its value.
    """
    try:
        found = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    about = {
        "owner": f"{name_of(pwd.getpwuid, found.st_uid)}:{name_of(grp.getgrgid, found.st_gid)}",
        "mode": f"{stat.S_IMODE(found.st_mode):04o}",
    }
    if stat.S_ISLNK(found.st_mode):
        return {"kind": "link", "target": os.readlink(path), "owner": about["owner"]}
    if not stat.S_ISREG(found.st_mode):
        return {"kind": "directory" if stat.S_ISDIR(found.st_mode) else "special file", **about}
    about["kind"] = "file"
    try:
        # O_NONBLOCK: what has become a pipe meanwhile must not hold us.
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    digest, content = blake2b(key=bytes.fromhex(key), digest_size=16), b""
    with os.fdopen(handle, "rb") as file:
        while piece := file.read(TEXT):
            digest.update(piece)
            content = content + piece if len(content) < TEXT else content
    about["digest"] = digest.hexdigest()
    if len(content) <= TEXT:
        text = content.decode("utf-8", "replace")
        if shown:
            about["text"] = text
        elif keys := values(text):
            about["keys"] = {name: keyed(key, value.encode())[:16] for name, value in keys.items()}
    return about


def values(text):
    """Return key → value of a JSON object, or of lines KEY=VALUE; {} for what is neither."""
    found = {}
    with contextlib.suppress(ValueError):
        flatten("", json.loads(text), found)
        return found
    for line in text.splitlines():
        name, sign, value = line.partition("=")
        name = name.strip().removeprefix("export ").strip()
        if sign and name.replace("_", "").replace(".", "").replace("-", "").isalnum():
            found[name] = value
    return found


def flatten(name, value, found):
    if isinstance(value, dict):
        for key, one in value.items():
            flatten(f"{name}.{key}" if name else str(key), one, found)
    elif name:
        found[name] = json.dumps(value, sort_keys=True)


def brief(about):
    """Return an entry without what it is compared by in words."""
    return None if about is None else {key: one for key, one in about.items() if key not in ("text", "keys")}


def changed(before, after):
    """Return in words what differs between two entries, [] for nothing; of content only that it does."""
    if before is None or after is None:
        return [] if before is after else ["not there any more" if after is None else "new"]
    if before["kind"] != after["kind"]:
        return [f"a {before['kind']} → a {after['kind']}"]
    said = [
        f"{key} {before[key]} → {after[key]}"
        for key in ("owner", "mode", "target")
        if before.get(key) != after.get(key)
    ]
    return said + (["content"] if before.get("digest") != after.get("digest") else [])


def difference(before, after):
    """Return the lines, or keys, in which content differs; nothing of what may not be shown but its keys."""
    import difflib  # for the few differences that there are: it takes 3 ms to load

    if before is None or after is None or before.get("digest") == after.get("digest"):
        return []
    if "text" in before and "text" in after:
        pair = [one["text"].splitlines() for one in (before, after)]
        lines = [
            one for number, one in enumerate(difflib.unified_diff(*pair, n=0, lineterm=""))
            if number > 1 and not one.startswith("@@")
        ]  # fmt: skip
        shown = [one if len(one) <= WIDTH else one[:WIDTH] + "..." for one in lines[:LINES]]
        return shown + ([f"... {len(lines) - LINES} lines more"] if len(lines) > LINES else [])
    olds, news = before.get("keys", {}), after.get("keys", {})
    said = [f"{name}: new" for name in sorted(news.keys() - olds.keys())]
    said += [f"{name}: gone" for name in sorted(olds.keys() - news.keys())]
    said += [
        f"{name}: another value" for name in sorted(olds.keys() & news.keys()) if olds[name] != news[name]
    ]
    return said[:LINES] + ([f"... {len(said) - LINES} more"] if len(said) > LINES else [])
