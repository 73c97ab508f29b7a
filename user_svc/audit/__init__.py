"""The audit log: who did what to accounts, keys and personal data, kept where nothing changes it."""
