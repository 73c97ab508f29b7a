"""Jobs: one decision about many dead letters, worked off in the background at a rate."""
