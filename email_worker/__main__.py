"""Runs email_worker until it is stopped."""

import sys

from email_worker.app import NAME, open_app
from email_worker.settings import Settings
from mesh.process.runtime import run

if __name__ == "__main__":
    sys.exit(run(NAME, Settings.from_env, open_app))
