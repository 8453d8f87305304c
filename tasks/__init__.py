"""One layer each, in the order of deploy.py; the only place where settings meet operations."""
