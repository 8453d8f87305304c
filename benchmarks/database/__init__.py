"""A database of the documents' size and shape: its backup, and what bare pg_dump takes."""
