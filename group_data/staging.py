"""What differs in staging."""

environment = "staging"

# Tell what a change has made worse.
diagnose = True
