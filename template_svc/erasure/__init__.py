"""What is removed with a project."""
