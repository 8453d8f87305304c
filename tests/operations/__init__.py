"""Fixtures of operations and facts, and the runner for both."""
