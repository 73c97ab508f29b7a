"""Exporting what is held about a person."""
