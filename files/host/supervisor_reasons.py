# Why a program of supervisor is restarted: what it was started with against what is configured now, named
# and never its value; and why one does not run. Part of supervisor-control.py.
import glob
import json
import os
import re

LOG_LINES = 10
VENV = re.compile(r"/venvs/[^/\s]+/")


def a_parser():
    import configparser  # as shlex below: `state` needs neither, and they take 5 ms of a core to import

    return configparser.RawConfigParser(inline_comment_prefixes=(";", "#"), strict=False)


def parse(text):
    """Return the programs of a configuration as supervisor reads them: name to its options."""
    parser = a_parser()
    parser.read_string(text)
    found = [section for section in parser.sections() if section.startswith("program:")]
    return {section[len("program:") :].strip(): dict(parser.items(section)) for section in found}


def read_programs(pattern):
    """Return all programs that some files declare; a file that cannot be read declares none."""
    import configparser

    found = {}
    for path in sorted(glob.glob(pattern)):
        try:
            with open(path, encoding="utf-8") as file:
                found.update(parse(file.read()))
        except (OSError, configparser.Error, UnicodeDecodeError):
            continue
    return found


def declared(config):
    """Return all programs that a supervisord.conf includes."""
    parser = a_parser()
    parser.read(config)
    found = {}
    for pattern in parser.get("include", "files", fallback="").split():
        found.update(read_programs(os.path.join(os.path.dirname(config), pattern)))
    return found


def record(directory, programs, now):
    """Keep, for the next time, what these programs have been started with; None for one that is gone."""
    os.makedirs(directory, mode=0o700, exist_ok=True)
    for name in programs:
        path = os.path.join(directory, name + ".conf")
        if name not in now:
            if os.path.exists(path):
                os.unlink(path)
            continue
        with open(path + ".new", "w", encoding="utf-8") as file:
            file.write(f"[program:{name}]\n")
            file.writelines(f"{key} = {value}\n" for key, value in now[name].items())
        os.rename(path + ".new", path)


def code(directory):
    """Return what tells a part's code from another's, None where a directory is no part of a release."""
    try:
        with open(os.path.join(directory, ".hostwright.json"), encoding="utf-8") as file:
            return json.load(file)["parts"].get(os.path.basename(directory))
    except (OSError, KeyError, ValueError):
        return None


def variables(text):
    """Return the variables of an `environment` option, by the rules of supervisor's own parser."""
    import shlex

    lexer = shlex.shlex(text)
    lexer.wordchars += "/.+-():"
    tokens = list(lexer)
    return {tokens[at]: tokens[at + 2] for at in range(0, len(tokens) - 2, 4)}


def option(key, old, new):
    if key != "environment":
        return key
    try:
        old, new = variables(old or ""), variables(new or "")
    except ValueError:
        return key
    return " ".join([key, *sorted(one for one in {*old, *new} if old.get(one) != new.get(one))])


def reason(old, new):
    """Say why a program that was started with some options, and is to run with others, is touched."""
    if new is None:
        return "it is no longer declared"
    if old is None:
        return "it is new"
    if not old or old == new:
        return "its configuration changed"
    differ = [key for key in sorted({*old, *new}) if old.get(key) != new.get(key)]
    said = []
    if "directory" in differ:
        differ.remove("directory")
        before, after = code(old.get("directory", "")), code(new.get("directory", ""))
        if before is None or before != after:
            said.append("its code changed")
    if "command" in differ:
        before, after = old.get("command", ""), new.get("command", "")
        if VENV.findall(before) != VENV.findall(after):
            said.append("its packages changed")
        if VENV.sub("/venvs/", before) == VENV.sub("/venvs/", after):
            differ.remove("command")
    if differ:
        named = ", ".join(option(key, old.get(key), new.get(key)) for key in differ)
        said.append(f"its configuration changed ({named})")
    # The same code in another place: the links around it changed, such as a shared directory.
    return ", ".join(said) or "its shared directories changed"


def last_lines(path):
    try:
        with open(path, "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - 8192))
            return file.read().decode(errors="replace").splitlines()[-LOG_LINES:]
    except OSError as error:
        return [f"({error})"]


def explain(infos):
    """Return, for each program that is not RUNNING, its state, the reason, and its last log lines."""
    text = []
    for name, info in infos:
        reason = info["spawnerr"] or info["description"] or "no reason given"
        text.append(f"{name} is {info['statename']}: {reason}")
        for path in dict.fromkeys([info["stderr_logfile"], info["stdout_logfile"]]):
            if path:
                text += [f"  last lines of {path}:", *(f"    {line}" for line in last_lines(path))]
    return "\n".join(text)
