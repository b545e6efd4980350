"""Start real servers with `scripts/postgres.py` and look at them from outside."""

from __future__ import annotations

import ctypes
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

from scripts import postgres
from scripts.postgres import PortTakenError, PostgresError, Server, provided, running, start

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[3]
SCRIPT = ROOT / "scripts" / "postgres.py"


@pytest.fixture
def folder() -> Iterator[Path]:
    """Give a folder any user may enter; pytest's own are closed to the user root hands the server to."""
    path = Path(tempfile.mkdtemp(dir="/tmp", prefix="burnish-test-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running() as started:
        yield started


def ask(url: str, query: str) -> str:
    """Return the one value a query gives, as text."""
    with psycopg.connect(url, connect_timeout=5) as connection:
        row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return str(row[0])


def execute(url: str, *statements: str) -> None:
    with psycopg.connect(url, connect_timeout=5) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def refuses(url: str) -> bool:
    """Tell whether nobody listens where the URL points."""
    try:
        psycopg.connect(url, connect_timeout=5).close()
    except psycopg.OperationalError as error:
        return "refused" in str(error)
    return False


def eventually(holds: Callable[[], bool], seconds: float = 10) -> bool:
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def script(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if name != postgres.VARIABLE}
    return subprocess.run(
        [sys.executable, SCRIPT, *arguments],
        env=inherited | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_server_is_postgresql_18_with_utf8_and_pgvector(server: Server) -> None:
    assert ask(server.url, "show server_version").startswith("18.")
    assert ask(server.url, "show server_encoding") == "UTF8"
    execute(server.url, "create extension vector")
    assert ask(server.url, "select '[1,2]'::vector <-> '[1,4]'::vector") == "2.0"


def test_the_url_names_the_superuser_on_loopback_without_a_password(server: Server) -> None:
    assert re.fullmatch(r"postgresql://burnish@127\.0\.0\.1:\d+/postgres", server.url)
    assert ask(server.url, "select rolsuper from pg_roles where rolname = current_user") == "True"


def test_the_server_does_not_run_as_root(server: Server) -> None:
    with psycopg.connect(server.url) as connection:
        connection.execute("create temp table who (uid int)")
        connection.execute("copy who from program 'id -u'")
        row = connection.execute("select uid from who").fetchone()
    assert row is not None
    assert row[0] != 0
    assert (server.data / "postmaster.pid").stat().st_uid == row[0]


def test_the_server_listens_on_loopback_only(server: Server) -> None:
    assert ask(server.url, "show listen_addresses") == "127.0.0.1"
    assert ask(server.url, "show unix_socket_directories") == ""
    with socket.socket() as neighbour:  # the port is free on every other address
        neighbour.bind((other_address(), server.port))


def other_address() -> str:
    """Return an address of this machine that is not 127.0.0.1."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing: it only picks the address of the way out
        except OSError:  # no network at all; Linux has the whole of 127/8
            return "127.0.0.2"
        return str(probe.getsockname()[0])


def test_the_server_sees_none_of_our_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_API_KEY", "secret")
    with running() as server, psycopg.connect(server.url) as connection:
        connection.execute("create temp table environment (line text)")
        connection.execute("copy environment from program 'env'")
        lines = [row[0] for row in connection.execute("select line from environment")]
    assert "TZ=UTC" in lines
    assert "SOME_API_KEY=secret" not in lines


def test_a_killed_server_refuses_connections_and_has_its_data_after_a_restart() -> None:
    with running() as server:
        url, pid = server.url, server.pid
        execute(url, "create table kept (n int)", "insert into kept values (42)")
        with psycopg.connect(url) as held:
            server.kill()
            with pytest.raises(psycopg.OperationalError):
                held.execute("select 1")
        assert server.pid is None
        assert refuses(url)
        server.restart()
        assert server.url == url
        assert server.pid != pid
        assert ask(url, "select n from kept") == "42"
        assert "automatic recovery in progress" in (server.home / "log").read_text()


def test_a_killed_server_leaves_no_shared_memory_and_once_stopped_no_folder() -> None:
    with running() as server:
        memory = ask(server.url, "select pg_read_file('postmaster.pid')").splitlines()[6].split()[1]
        control = ctypes.CDLL(None).shmctl
        assert control(int(memory), 2, ctypes.create_string_buffer(512)) == 0  # 2 asks for a segment's status
        server.kill()
        assert control(int(memory), 2, ctypes.create_string_buffer(512)) == -1
    assert not server.home.exists()


def test_a_restart_of_a_running_server_keeps_port_and_data() -> None:
    with running() as server:
        execute(server.url, "create table kept (n int)", "insert into kept values (42)")
        server.restart()
        assert ask(server.url, "select n from kept") == "42"


def test_stop_leaves_no_process_and_no_folder() -> None:
    server = start()
    held = psycopg.connect(server.url)
    pids = [row[0] for row in held.execute("select pid from pg_stat_activity")]
    assert len(pids) > 3
    pids.append(server.pid)
    server.stop()
    held.close()
    assert not any(alive(pid) for pid in pids)
    assert not server.home.exists()
    server.stop()


def test_fsync_is_off_unless_the_server_is_to_be_durable(server: Server) -> None:
    assert ask(server.url, "show fsync") == "off"
    with running(durable=True) as durable:
        assert ask(durable.url, "show fsync") == "on"
        assert ask(durable.url, "show full_page_writes") == "on"


def test_servers_started_at_once_do_not_meet() -> None:
    with ThreadPoolExecutor(3) as pool:
        servers = list(pool.map(lambda _: start(), range(3)))
    try:
        assert len({ask(server.url, "show data_directory") for server in servers}) == 3
    finally:
        for server in servers:
            server.stop()


def test_a_free_port_is_found_past_taken_ones(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    ports = iter([server.port, server.port, server.port + 1])
    monkeypatch.setattr(secrets, "choice", lambda _: next(ports))
    with running() as other:
        assert other.port == server.port + 1


def test_a_port_asked_for_and_taken_is_an_error_that_leaves_nothing(
    server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    with pytest.raises(PortTakenError, match=str(server.port)):
        start(port=server.port)
    assert list(folder.iterdir()) == []
    assert ask(server.url, "select 1") == "1"


def test_a_temporary_folder_closed_to_the_server_is_passed_over(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.chmod(0o700)
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    with running() as server:
        assert ask(server.url, "select 1") == "1"
    assert list(folder.iterdir()) == []


def test_a_named_folder_keeps_its_data(folder: Path) -> None:
    with running(folder / "kept") as server:
        execute(server.url, "create table kept (n int)", "insert into kept values (42)")
    with running(folder / "kept") as server:
        assert ask(server.url, "select n from kept") == "42"


def test_a_folder_left_by_a_crash_is_no_obstacle(folder: Path) -> None:
    with running(folder) as server:
        record = server.data / "postmaster.pid"
        left, owner = record.read_bytes(), record.stat()
    record.write_bytes(left)
    os.chown(record, owner.st_uid, owner.st_gid)
    (folder / "data.unfinished").mkdir()
    assert script("url", "--data", folder).returncode == 1
    with running(folder) as server:
        assert ask(server.url, "select 1") == "1"


def test_a_second_server_in_a_folder_is_refused_and_the_first_lives_on(folder: Path) -> None:
    with running(folder) as server:
        with pytest.raises(PostgresError, match="already exists"):
            start(folder)
        assert ask(server.url, "select 1") == "1"
        assert (server.data / "postmaster.pid").exists()


def test_a_folder_the_server_may_not_enter_is_refused_by_root_and_not_made(folder: Path) -> None:
    folder.chmod(0o700)
    asked = folder / "closed"
    if os.geteuid() == 0:
        with pytest.raises(PostgresError, match=f"may not enter {folder}"):
            start(asked)
        assert not asked.exists()
    else:
        with running(asked) as server:
            assert ask(server.url, "select 1") == "1"


def install_in(site: Path) -> Path:
    """Make a folder of packages that holds what the installed one does, and return its copy of PostgreSQL's files."""
    (installed,) = (Path(entry) for entry in sys.path if (Path(entry) / postgres.PACKAGE).is_dir())
    tree = site / postgres.PACKAGE / postgres.MAJOR
    tree.mkdir(parents=True)
    (tree.parent / "__init__.py").touch()
    for name in ("bin", "lib"):
        (tree / name).symlink_to(installed / postgres.PACKAGE / postgres.MAJOR / name)
    (site / f"{postgres.PACKAGE}.libs").symlink_to(installed / f"{postgres.PACKAGE}.libs")
    return shutil.copytree(installed / postgres.PACKAGE / postgres.MAJOR / "share", tree / "share")


@pytest.mark.parametrize("closed", ["folder", "files"])
def test_programs_installed_for_root_alone_are_copied(
    folder: Path, monkeypatch: pytest.MonkeyPatch, closed: str
) -> None:
    share = install_in(folder / "site")
    if closed == "folder":
        (folder / "site").chmod(0o700)
    else:
        for path in share.rglob("*.bki"):
            path.chmod(0o600)
    monkeypatch.syspath_prepend(folder / "site")
    with running() as server:
        execute(server.url, "create extension vector")
        assert len(list(server.home.glob("programs-*"))) == (os.geteuid() == 0)


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_the_server_ends_with_the_process_that_started_it(ending: signal.Signals) -> None:
    program = "import time; from scripts.postgres import start; s = start(); print(s.url, s.home, flush=True)"
    with subprocess.Popen(
        [sys.executable, "-c", f"{program}; time.sleep(60)"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        url, home = process.stdout.readline().split()
        assert ask(url, "select 1") == "1"
        process.send_signal(ending)
    assert eventually(lambda: refuses(url) and not Path(home).exists())


def test_the_end_of_a_forked_copy_leaves_the_server_alone() -> None:
    program = """
        import os, sys, psycopg
        from scripts.postgres import running

        with running() as server:
            child = os.fork()
            if child == 0:
                sys.exit()
            os.waitpid(child, 0)
            psycopg.connect(server.url).close()
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(program)], cwd=ROOT, check=True)


def test_a_server_named_in_the_environment_is_used_instead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(postgres.VARIABLE, "postgresql://elsewhere/db")
    with provided() as url:
        assert url == "postgresql://elsewhere/db"
    monkeypatch.delenv(postgres.VARIABLE)
    with provided() as url:
        assert ask(url, "select 1") == "1"


def test_run_gives_the_command_a_server_and_returns_its_exit_code() -> None:
    command = (
        "import os, psycopg; u = os.environ['BURNISH_TEST_POSTGRES']; psycopg.connect(u).close(); print(u); exit(7)"
    )
    done = script("run", "--", sys.executable, "-c", command)
    assert done.returncode == 7, done.stderr
    assert refuses(done.stdout.strip())
    named = script(
        "run",
        "--",
        sys.executable,
        "-c",
        command.replace("psycopg.connect(u).close();", ""),
        BURNISH_TEST_POSTGRES="named",
    )
    assert (named.returncode, named.stdout) == (7, "named\n")


def test_run_reports_a_command_ended_by_a_signal_as_a_shell_does() -> None:
    assert script("run", "--", "sh", "-c", "kill -9 $$").returncode == 128 + 9


def test_start_url_and_stop_work_on_a_folder(folder: Path) -> None:
    assert script("url", "--data", folder).returncode == 1
    started = script("start", "--data", folder)
    try:
        url = started.stdout.strip()
        assert ask(url, "select 1") == "1"
        assert script("start", "--data", folder).stdout.strip() == url
        assert script("url", "--data", folder).stdout.strip() == url
    finally:
        stopped = script("stop", "--data", folder)
    assert stopped.returncode == 0, stopped.stderr
    assert refuses(url)
    assert script("stop", "--data", folder).returncode == 0
    assert (folder / "data" / "PG_VERSION").exists()
