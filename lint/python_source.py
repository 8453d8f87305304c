"""What a Python program says: its strings, its commands, and calls that rules know, by its syntax tree."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator

from lint.finding import Piece

# Stands for what an f-string fills in.
FILLED = "{}"
# What is said to people by these, and in an exception, is an example and no path that anything opens.
TOLD_BY = {
    "help", "desc", "description", "doc", "epilog", "usage", "examples", "short_help", "help_text", "metavar",
}  # fmt: skip
TELLS = {"debug", "info", "warning", "warn", "error", "exception", "critical", "print", "echo", "secho"}


def pieces(text: str) -> Iterator[Piece]:
    """
    Yield every string of a program that is no docstring, and every list of words as a command.

    Raises SyntaxError for what is no Python; ValueError for what has null bytes.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of escapes in strings that are none
        tree = ast.parse(text)
    yield from _within(tree)


def _within(node: ast.AST) -> Iterator[Piece]:
    for child in ast.iter_child_nodes(node):
        if _is_told(child):
            continue
        if isinstance(child, (ast.Constant, ast.JoinedStr, ast.BinOp)):
            said = _said(child)
            if said is not None:
                yield _piece(said, child, "python")
                # What an f-string fills in may have strings of its own.
                for value in child.values if isinstance(child, ast.JoinedStr) else ():
                    if isinstance(value, ast.FormattedValue):
                        yield from _within(value)
                continue
        if isinstance(child, ast.List):
            words = [_said(one) for one in child.elts]
            if len(words) > 1 and words[0] is not None:
                yield _piece(" ".join(FILLED if word is None else word for word in words), child, "command")
        if isinstance(child, ast.Call):
            yield from _call(child)
        yield from _within(child)


def _is_told(node: ast.AST) -> bool:
    """Return whether what is in there is said to people alone: documentation, help, messages."""
    if isinstance(node, ast.Expr) and isinstance(node.value, (ast.Constant, ast.JoinedStr)):
        return True  # a docstring, or a string that nobody uses
    if isinstance(node, ast.keyword):
        return node.arg in TOLD_BY
    if isinstance(node, ast.Assign):
        return any(isinstance(one, ast.Name) and one.id.lower().strip("_") in TOLD_BY for one in node.targets)
    if isinstance(node, ast.Call):
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        return name in TELLS
    return isinstance(node, ast.Raise)


def _call(call: ast.Call) -> Iterator[Piece]:
    """Yield the text of a command that a shell is given, once more as a command."""
    name = ast.unparse(call.func)
    shell = any(word.arg == "shell" for word in call.keywords)
    runs = name in ("os.system", "os.popen") or (name.startswith("subprocess.") and shell)
    if runs and call.args and (said := _said(call.args[0])) is not None:
        yield _piece(said, call.args[0], "command")
    if name == "os.getlogin":
        yield _piece("os.getlogin()", call, "getlogin")


def _said(node: ast.AST) -> str | None:
    """Return what a string says, with {} for what is filled in; None for what is no string."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.JoinedStr):
        return "".join(str(one.value) if isinstance(one, ast.Constant) else FILLED for one in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = _said(node.left), _said(node.right)
        if left is None and right is None:
            return None
        return (FILLED if left is None else left) + (FILLED if right is None else right)
    return None


def _piece(said: str, node: ast.expr, kind: str) -> Piece:
    return Piece(said, node.lineno, node.col_offset + 1, node.end_lineno or node.lineno, kind)
