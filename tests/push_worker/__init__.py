"""What push_worker promises."""
