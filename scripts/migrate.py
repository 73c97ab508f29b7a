"""Bring the databases named in the environment up to date: `GATEWAY_DATABASE_URL`, `USER_SVC_DATABASE_URL`, `TEMPLATE_SVC_DATABASE_URL`.

A deployed service migrates its own database with `python -m <service> migrate`; this does the same for all of them from a checkout.
"""

import os
import sys

from mesh.process.runtime import CannotStart
from mesh.stores.migrations import upgrade_now

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
                upgrade_now(service, url)
            except CannotStart as error:
                print(f"{service}: {error}", file=sys.stderr)
                failed = True
            else:
                print(f"{service}: up to date")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
