"""Sending: a request becomes a stored notification, once."""
