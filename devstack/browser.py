"""Where the browser of tests and screenshots is."""

import shutil

# The first is Debian's build without windows: the same engine for half of the processor time (docs/testing.md).
_PROGRAMS = ("chromium-headless-shell", "chromium", "google-chrome")


def find_browser() -> str | None:
    """The path of a Chromium; None where there is none."""
    return next(filter(None, map(shutil.which, _PROGRAMS)), None)
