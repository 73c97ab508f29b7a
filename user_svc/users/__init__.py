"""People: their address, name, language and time zone."""
