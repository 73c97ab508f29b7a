"""Runs the gateway: `python -m gateway [serve|migrate]`."""

import sys

from gateway.app import NAME, open_app
from gateway.settings import Settings
from mesh.process.runtime import run
from mesh.stores.migrations import upgrade_now

if __name__ == "__main__":
    sys.exit(run(NAME, Settings.from_env, open_app, migrate=lambda settings: upgrade_now(NAME, settings.database.url)))
