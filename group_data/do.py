"""What differs in production."""

environment = "do"

# Tell what a change has made worse.
diagnose = True

# What staging's acceptance suite has passed with, and nothing else; None deploys anything. docs/promote.md.
requires_receipt_from = "staging"

overrides = {
    "apps": {"rec_io": {"variables": {"REC_ACCOUNT_MODE": "prod"}}},
}
