"""The page on which a person chooses what they get."""
