"""The console's pages, which are built from console/ and served at /console/."""
