"""Projects: the walls between products and environments."""
