"""Notifications: accepted, followed, cancelled."""
