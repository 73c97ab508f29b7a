"""Random deep, large and odd requests by both doors, and random templates: every process lives, and every accepted notification ends."""
