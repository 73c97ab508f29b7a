"""A real PgBouncer in transaction mode before a PostgreSQL of the tests."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from devstack.postgres import UNPRIVILEGED_ID, unprivileged
from mesh.testing import free_port

PROGRAM = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
_WAIT_S = 20.0


@contextmanager
def pgbouncer(folder: Path, server_url: str, *, servers: int = 3) -> Iterator[str]:
    """Starts one; the URL without the name of a database. It lends `servers` connections to each database, in turn.

    In turn means that what a client leaves at one is never there at its next transaction.
    """
    assert PROGRAM is not None
    server, port = urlsplit(server_url), free_port()
    folder.mkdir(parents=True)
    (folder / "users").write_text('"postgres" ""\n')
    config = folder / "pgbouncer.ini"
    config.write_text(
        f"[databases]\n* = host={server.hostname} port={server.port}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n"
        f"unix_socket_dir =\nauth_type = trust\nauth_file = {folder}/users\nlogfile = {folder}/log\npool_mode = transaction\n"
        f"default_pool_size = {servers}\nmax_client_conn = 500\nserver_round_robin = 1\n"
    )
    if os.geteuid() == 0:
        os.chown(folder, UNPRIVILEGED_ID, UNPRIVILEGED_ID)
    output = (folder / "output").open("wb")
    process = subprocess.Popen(
        [*unprivileged(), PROGRAM, str(config)], stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
    )
    try:
        _wait_until_listening(process, port, folder)
        yield f"postgresql://postgres@127.0.0.1:{port}/"
    finally:
        process.terminate()
        process.wait()
        output.close()


def _wait_until_listening(process: "subprocess.Popen[bytes]", port: int, folder: Path) -> None:
    give_up_at = time.monotonic() + _WAIT_S
    while process.poll() is None and time.monotonic() < give_up_at:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise AssertionError(f"PgBouncer does not start:\n{(folder / 'output').read_text()[-1500:]}")
