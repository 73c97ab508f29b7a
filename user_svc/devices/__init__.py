"""Devices: the app installations that receive a person's push notifications."""
