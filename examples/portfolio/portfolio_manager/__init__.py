"""Keep a portfolio of positions in PostgreSQL, take signals over HTTP, and survive any crash."""

VERSION = "1.0.0"
