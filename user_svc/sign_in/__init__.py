"""Signing in at an issuer of OpenID Connect: whom it names, what their groups may do here, and the session that follows."""
