"""What differs in staging."""

environment = "staging"
