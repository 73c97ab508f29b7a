"""Dead letters: what could not be delivered and waits for a person to decide."""
