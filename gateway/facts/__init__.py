"""Later facts: what providers and mail servers report of an e-mail after it was sent."""
