"""The whole system in one process, with real stores from wheels: for development, demonstrations and tests."""
