"""A PostgreSQL server of the tests' own, by Debian's programs: its cluster is gone with its folder."""

import os
import pwd
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from iomete_mc_assets_tests import machine
from iomete_mc_assets_tests.dagster_processes import free_port

PACKAGE = "postgresql"
SUPERUSER = "dagster"
ROOT_USER = "postgres"
"""Debian's user of these programs, which refuse to be root."""


class PostgresServer:
    """One server with an empty database, while it is entered.

    Attributes:
        environment: the variables under which libpq and our docs know a server.
    """

    def __init__(self) -> None:
        """Nothing is started yet; without the programs the test is skipped, see ``machine``."""
        self._programs = {
            name: machine.program(name, package=PACKAGE) for name in ("initdb", "pg_ctl")
        }
        self._password = secrets.token_urlsafe(12)
        self._port = free_port()
        self._opened = ExitStack()

    def __enter__(self) -> Self:
        """Return when it answers."""
        with ExitStack() as undo:
            folder = Path(tempfile.mkdtemp(prefix="postgres-"))
            undo.callback(shutil.rmtree, folder)
            password = folder / "password"
            password.write_text(self._password)
            if os.geteuid() == 0:
                for path in (folder, password):
                    shutil.chown(path, ROOT_USER, pwd.getpwnam(ROOT_USER).pw_gid)
            data = f"--pgdata={folder / 'data'}"
            self._run(
                folder,
                "initdb",
                *(data, f"--username={SUPERUSER}", f"--pwfile={password}", "--encoding=UTF8"),
                *("--auth=scram-sha-256", "--no-sync"),
            )
            options = f"-p {self._port} -c listen_addresses=127.0.0.1 -c unix_socket_directories="
            log = f"--log={folder / 'log'}"
            self._run(folder, "pg_ctl", "start", "--wait", data, log, f"--options={options}")
            undo.callback(self._run, folder, "pg_ctl", "stop", "--wait", "--mode=immediate", data)
            self._opened = undo.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    @property
    def environment(self) -> Mapping[str, str]:
        """For programs that are to use it."""
        return {
            "PGHOST": "127.0.0.1",
            "PGPORT": str(self._port),
            "PGUSER": SUPERUSER,
            "PGPASSWORD": self._password,
            "PGDATABASE": "postgres",
        }

    def _run(self, folder: Path, program: str, *arguments: str) -> None:
        """As a user that is not root; its words are in the error."""
        with (folder / "words").open("a+") as words:
            done = subprocess.run(  # noqa: S603 - Debian's programs
                [self._programs[program], *arguments],
                cwd=folder,
                stdout=words,
                stderr=subprocess.STDOUT,
                user=ROOT_USER if os.geteuid() == 0 else None,
                check=False,
            )
            words.seek(0)
            assert done.returncode == 0, words.read()
