"""The tests, one folder per package; `repo` reads the repository itself, `system` runs all of it."""
