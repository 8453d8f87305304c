"""What differs in production."""

environment = "do"

overrides = {
    "apps": {"rec_io": {"variables": {"REC_ACCOUNT_MODE": "prod"}}},
}
