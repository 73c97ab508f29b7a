"""Runs template_svc: `python -m template_svc [serve|migrate]`."""

import sys

from mesh.process.runtime import run
from mesh.stores.migrations import upgrade_now
from template_svc.app import NAME, open_app
from template_svc.settings import Settings

if __name__ == "__main__":
    sys.exit(run(NAME, Settings.from_env, open_app, migrate=lambda settings: upgrade_now(NAME, settings.database.url)))
