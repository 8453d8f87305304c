"""What differs in the lab, on this machine."""

environment = "lab"

# A lab host shares the memory of this machine.
overrides = {"swap": {"size": "64M"}, "postgresql": {"memory": "512M"}}
