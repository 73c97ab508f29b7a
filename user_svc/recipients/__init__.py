"""Recipients: where many notifications go and whether they may, in one question."""
