"""Proof of who is calling: passwords, tokens, signing keys and API keys."""
