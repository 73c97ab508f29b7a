"""Taking templates and versions out of use, and into it again."""
