"""A second factor for who signs in by password: codes of an authenticator app, and recovery codes for when it is lost."""
