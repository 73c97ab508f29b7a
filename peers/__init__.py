"""The other services as a process calls them: their targets, and the credentials that user_svc verifies."""
