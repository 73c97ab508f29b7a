"""The page behind the links by which people refuse e-mail of a category."""
