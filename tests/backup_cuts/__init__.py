"""Backups that are cut off: what is listed restores, and no row that was acknowledged is lost."""
