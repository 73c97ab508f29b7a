"""Who would get a text that an author looks at."""
