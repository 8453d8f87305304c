"""Droplets of DigitalOcean: made, listed and destroyed by `python -m droplets`, found by the inventories."""
