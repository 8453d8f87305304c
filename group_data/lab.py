"""What differs in the lab, on this machine."""

environment = "lab"

# A lab host shares the memory of this machine.
swap = {"size": "64M"}
