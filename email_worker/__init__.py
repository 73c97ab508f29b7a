"""Delivers e-mails: takes deliveries from the bus, resolves and renders them, hands them to an SMTP server. Owns nothing."""
