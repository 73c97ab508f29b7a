"""Runs user_svc: `python -m user_svc [serve|migrate]`."""

import sys

from mesh.runtime import run
from user_svc.app import NAME, open_app
from user_svc.settings import Settings

if __name__ == "__main__":
    sys.exit(run(NAME, Settings.from_env, open_app))
