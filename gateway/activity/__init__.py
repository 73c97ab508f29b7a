"""How much is sent, what becomes of it, and what is wrong."""
