"""Webhooks: the changes of notifications, posted to the addresses of those who asked for them."""
