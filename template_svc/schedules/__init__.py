"""Publications at a time that was chosen before."""
