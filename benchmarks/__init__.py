"""Measurements, each against what it is compared with, on one host in one run."""
