"""Addresses: the e-mail addresses of a person beside the one that mail goes to, and how they are proved."""
