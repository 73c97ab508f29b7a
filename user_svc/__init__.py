"""Owns people: how to reach them, what they want, and who may call (credentials, API keys, signing keys)."""
