"""Erasure: what the saga that erases a person asks of user_svc."""
