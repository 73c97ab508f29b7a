"""Which certificate authorities a test run trusts by default: one of its own, of which nothing is served.

A client for HTTP loads the public ones, some 150 of them, even for addresses without TLS: 40 ms of processor time for each client, and for
each start of `user_svc`, in thousands of tests. A test that speaks TLS names its authority.
"""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

from devstack.tls import LocalTls

# What OpenSSL and httpx look at.
_VARIABLE = "SSL_CERT_FILE"


def trust_one_authority() -> None:
    """For this process and those that inherit its environment, where the caller has not named a file."""
    if _VARIABLE in os.environ:
        return
    folder = Path(tempfile.mkdtemp(prefix="authority-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.environ[_VARIABLE] = str(LocalTls.in_folder(folder).ca_file)
