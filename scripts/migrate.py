"""Bring the databases named in the environment up to date: `GATEWAY_DATABASE_URL`, `USER_SVC_DATABASE_URL`, `TEMPLATE_SVC_DATABASE_URL`.

A deployed service migrates its own database with `python -m <service> migrate`; this does the same for all of them from a checkout.
"""

import os
import sys

from mesh.process.runtime import CannotStart
from mesh.process.settings import Env, SettingsError
from mesh.stores.migrations import upgrade_now
from mesh.stores.settings import DatabaseSettings

SERVICES = ("gateway", "user_svc", "template_svc")


def main() -> int:
    """Migrate what is named; return 2 when nothing is, 1 when one can not be."""
    urls = {service: os.environ.get(f"{service.upper()}_DATABASE_URL", "") for service in SERVICES}
    if not any(urls.values()):
        wanted = ", ".join(f"{service.upper()}_DATABASE_URL" for service in SERVICES)
        print(f"name the databases to migrate (postgresql://...): one or more of {wanted}", file=sys.stderr)
        return 2
    failed = False
    for service, url in urls.items():
        if url:
            try:
                env = Env({"CLARION_DATABASE_URL": url})
                database = DatabaseSettings.from_env(env)
                env.check()
                upgrade_now(service, database.url)
            except SettingsError as error:
                for problem in error.problems:
                    print(problem.replace("CLARION_DATABASE_URL", f"{service.upper()}_DATABASE_URL"), file=sys.stderr)
                failed = True
            except CannotStart as error:
                print(f"{service}: {error}", file=sys.stderr)
                failed = True
            else:
                print(f"{service}: up to date")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
