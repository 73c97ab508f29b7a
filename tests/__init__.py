"""Every test of Clarion: one folder per package, one for the repository itself, one for the whole system."""
