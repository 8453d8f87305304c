"""Prove that hosts are as declared: read the same settings as a deploy, look at the hosts over SSH."""
