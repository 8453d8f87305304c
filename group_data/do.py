"""What differs in production."""

environment = "do"

app_overrides = {
    "rec_io": {"variables": {"REC_ACCOUNT_MODE": "prod"}},
}
