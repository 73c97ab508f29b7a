"""Reading what a sent notification said, for as long as that is kept."""
