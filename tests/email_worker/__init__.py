"""What email_worker promises."""
