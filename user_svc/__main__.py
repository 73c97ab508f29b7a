"""Runs user_svc: `python -m user_svc [serve|migrate]`."""

import sys

from mesh.process.runtime import run
from mesh.stores.migrations import upgrade_now
from user_svc.app import NAME, open_app
from user_svc.settings import Settings

if __name__ == "__main__":
    sys.exit(run(NAME, Settings.from_env, open_app, migrate=lambda settings: upgrade_now(NAME, settings.database.url)))
