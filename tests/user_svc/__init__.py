"""Tests of user_svc."""
