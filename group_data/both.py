"""Hosts of the group "both": rec_io and portfolio_manager beside each other on one host."""

from group_data.all import apps as rec_io
from group_data.portfolio import apps as portfolio

apps = {**rec_io, **portfolio}
