"""Mails about people's accounts, which user_svc asks for and the gateway sends as notifications."""
