"""Delivers push messages: takes deliveries from the bus, resolves and renders them, hands them to FCM. Owns nothing."""
