"""Runs the process that posts webhooks until it is stopped: `python -m gateway.webhooks`."""

import sys

from gateway.webhooks.app import NAME, open_app
from gateway.webhooks.settings import Settings
from mesh.process.runtime import run

if __name__ == "__main__":
    sys.exit(run(NAME, Settings.from_env, open_app))
