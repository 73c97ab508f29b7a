"""What is done to senders and templates, written down with it and handed over to the audit log."""
