"""Accepting notifications: admission, checks, and the commit that makes a 202 true."""
