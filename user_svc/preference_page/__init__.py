"""The page on which a person chooses what they get, and how a project's pages look."""
