"""Roles: named sets of scopes, and who has which."""
