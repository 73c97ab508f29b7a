"""Runs push_worker until it is stopped."""

import sys

from mesh.process.runtime import run
from push_worker.app import NAME, open_app
from push_worker.settings import Settings

if __name__ == "__main__":
    sys.exit(run(NAME, Settings.from_env, open_app))
