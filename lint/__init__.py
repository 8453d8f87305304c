"""
The portability lint: what in an application's source holds on one machine and not on another.

    python -m lint PATH

It is a gate of every deploy (`lint.gate`), before a host is touched. docs/lint.md has the rules.
"""
