"""The key folder on disk: private, whole at every moment, one ring for all processes, and no way back from revoked."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from burnish.errors import InvalidValue
from burnish.govern.key_folder import ensure_signer, import_key, load_ring, load_signer, new_key, retire, revoke
from burnish.govern.keyring import REASONS, Key, pem_of
from burnish.govern.signing import Signer

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def private_of(folder: Path, key_id: str) -> Path:
    return folder / "private" / f"{key_id.removeprefix('sha256:')}.pem"


def test_asking_an_empty_folder_makes_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "none" / "keys"
    assert load_ring(folder).keys == ()
    assert load_signer(folder, now=NOW) is None
    assert not folder.parent.exists()


def test_a_new_key_signs_and_is_trusted(tmp_path: Path) -> None:
    signer = new_key(tmp_path / "keys", "alice", now=NOW, valid_days=30)
    loaded = load_signer(tmp_path / "keys", now=NOW)
    assert loaded is not None
    assert (loaded.key_id, loaded.name) == (signer.key_id, "alice")
    ring = load_ring(tmp_path / "keys")
    ring.verify(signer.key_id, b"x", loaded.sign(b"x"), at=NOW, now=NOW)
    assert (ring.keys[0].valid_from, ring.keys[0].valid_until) == (NOW, NOW + 30 * DAY)
    assert load_signer(tmp_path / "keys", now=NOW + 30 * DAY) is None


def test_only_their_owner_can_use_the_keys(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    umask = os.umask(0)
    try:
        signer = new_key(folder, "alice", now=NOW)
    finally:
        os.umask(umask)
    assert (mode(folder), mode(folder / "private")) == (0o700, 0o700)
    assert mode(private_of(folder, signer.key_id)) == 0o600
    assert (folder / "private" / ".gitignore").read_text(encoding="utf-8") == "*\n"


@pytest.mark.parametrize("loose", [0o644, 0o666, 0o620, 0o604])
def test_a_private_key_that_others_can_use_is_refused(tmp_path: Path, loose: int) -> None:
    signer = new_key(tmp_path, "alice", now=NOW)
    private_of(tmp_path, signer.key_id).chmod(loose)
    with pytest.raises(InvalidValue, match=rf"other users may use it \(0{loose:o}\): chmod 600 it"):
        load_signer(tmp_path, now=NOW)


def test_the_newest_key_that_counts_signs(tmp_path: Path) -> None:
    old, new = (new_key(tmp_path, name, now=NOW + day * DAY) for day, name in enumerate(("old", "new")))

    def signing(day: int) -> str | None:
        found = load_signer(tmp_path, now=NOW + day * DAY)
        return None if found is None else found.name

    assert (signing(0), signing(1)) == ("old", "new")
    retire(tmp_path, new.key_id, now=NOW + 2 * DAY)
    assert signing(2) == "old"
    revoke(tmp_path, old.key_id, "compromised", now=NOW + 2 * DAY)
    assert signing(2) is None


def test_a_private_key_that_the_ring_does_not_list_is_never_used(tmp_path: Path) -> None:
    new_key(tmp_path, "alice", now=NOW)
    stray = Signer.generate("stray")
    private_of(tmp_path, stray.key_id).write_bytes(stray.to_pem())
    found = load_signer(tmp_path, now=NOW)
    assert found is not None
    assert found.name == "alice"


def test_a_private_key_that_was_swapped_or_damaged_is_refused(tmp_path: Path) -> None:
    file = private_of(tmp_path, new_key(tmp_path, "alice", now=NOW).key_id)
    file.write_bytes(Signer.generate("mallory").to_pem())
    with pytest.raises(InvalidValue, match="it is not the key that its name says"):
        load_signer(tmp_path, now=NOW)
    file.write_bytes(b"")
    with pytest.raises(InvalidValue, match="it is damaged"):
        load_signer(tmp_path, now=NOW)


def test_an_imported_key_is_trusted_and_does_not_sign(tmp_path: Path) -> None:
    other = Signer.generate("bo")
    key = import_key(tmp_path, pem_of(other.public), "bo", valid_until=NOW + DAY)
    assert import_key(tmp_path, other.public, "bo") == key, "importing again changes nothing"
    load_ring(tmp_path).verify(other.key_id, b"x", other.sign(b"x"), at=NOW - 9 * DAY, now=NOW)
    assert load_signer(tmp_path, now=NOW) is None
    with pytest.raises(InvalidValue, match="this key is here already, as 'bo'"):
        import_key(tmp_path, other.public, "mallory")


def test_importing_does_not_bring_a_revoked_key_back(tmp_path: Path) -> None:
    signer = new_key(tmp_path, "alice", now=NOW)
    revoked = revoke(tmp_path, signer.key_id, "compromised", now=NOW)
    assert import_key(tmp_path, signer.public, "alice") == revoked


@settings(max_examples=25)
@given(steps=st.lists(st.sampled_from([*REASONS, "retire", "import"]), max_size=5))
def test_no_order_of_steps_makes_a_refused_signature_count_again(steps: list[str]) -> None:
    with tempfile.TemporaryDirectory() as place:
        folder, later = Path(place), NOW + 50 * DAY
        signer = new_key(folder, "alice", now=NOW)
        counted = _counted(load_ring(folder).keys[0], later)
        for day, step in enumerate(steps, 1):
            now = NOW + 5 * day * DAY
            if step == "retire":
                retire(folder, signer.key_id, now=now)
            elif step == "import":
                import_key(folder, signer.public, "alice")
            else:
                revoke(folder, signer.key_id, step, now=now)  # type: ignore[arg-type]  # one of REASONS
            before, counted = counted, _counted(load_ring(folder).keys[0], later)
            assert counted <= before


def _counted(key: Key, now: datetime) -> set[int]:
    return {day for day in range(-5, 55) if key.refusal(NOW + day * DAY, now) is None}


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda text: text[: len(text) // 2], "it is damaged"),
        (lambda _: "", "it is damaged"),
        (lambda text: text.replace("burnish-keyring/1", "burnish-keyring/9"), "its format is 'burnish-keyring/9'"),
        (lambda text: text.replace("sha256:", "sha256:0", 1), "is not the id of its key"),
        (lambda text: text.replace('"name"', '"nome"'), "it is damaged"),
        (lambda text: text.replace("00Z", "00"), "it is damaged"),
        (lambda text: text.replace('"revocation_reason": null', '"revocation_reason": "whim"'), "it is damaged"),
    ],
)
def test_a_damaged_ring_trusts_nobody(tmp_path: Path, damage: Callable[[str], str], said: str) -> None:
    new_key(tmp_path, "alice", now=NOW)
    file = tmp_path / "ring.json"
    file.write_text(damage(file.read_text(encoding="utf-8")), encoding="utf-8")
    with pytest.raises(InvalidValue, match=said):
        load_ring(tmp_path)
    with pytest.raises(InvalidValue, match=said):
        new_key(tmp_path, "bo", now=NOW)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(InvalidValue, match="it cannot be written"):
        new_key(tmp_path / "file" / "keys", "alice", now=NOW)
    assert load_ring(tmp_path / "file" / "keys").keys == ()


@pytest.mark.parametrize("name", ["", "x" * 201, "a\nb", "\x1b[31m"])
def test_a_name_is_printable(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidValue, match="give a name of 1 to 200 printable characters"):
        new_key(tmp_path, name, now=NOW)


def test_days_reasons_times_and_ids_are_checked(tmp_path: Path) -> None:
    signer = new_key(tmp_path, "alice", now=NOW)
    for days in (0, -1, 10**9):
        with pytest.raises(InvalidValue, match="give 1 to 36,500 days"):
            new_key(tmp_path, "bo", now=NOW, valid_days=days)
    with pytest.raises(InvalidValue, match="give one of compromised, superseded, unused"):
        revoke(tmp_path, signer.key_id, "whim", now=NOW)  # type: ignore[arg-type]  # wrong on purpose
    with pytest.raises(InvalidValue, match="there is none of this id in"):
        revoke(tmp_path, "sha256:0", "unused", now=NOW)
    with pytest.raises(InvalidValue, match="give a time after valid_from"):
        import_key(tmp_path, Signer.generate("bo").public, "bo", valid_from=NOW, valid_until=NOW)


ENSURE = "print(ensure_signer(folder, 'host', now=now).key_id)"
MAKE = "print(new_key(folder, 'host', now=now).key_id)"


def race(folder: Path, what: str, processes: int = 6) -> list[str]:
    """Key ids that processes print which do the same at the same moment."""
    script = (
        "import sys; from datetime import UTC, datetime; from pathlib import Path\n"
        "from burnish.govern.key_folder import ensure_signer, new_key\n"
        "from burnish.govern.signing import Signer; Signer.generate('warm')\n"
        "folder, now = Path(sys.argv[1]), datetime(2026, 1, 1, tzinfo=UTC)\n"
        f"print('ready', flush=True); sys.stdin.readline(); {what}"
    )
    command = [sys.executable, "-c", script, str(folder)]
    started = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(processes)
    ]
    for process in started:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in started:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    return [process.communicate()[0].strip() for process in started]


def test_processes_that_need_the_first_key_at_once_share_one(tmp_path: Path) -> None:
    ids = race(tmp_path / "keys", ENSURE)
    assert len(set(ids)) == 1
    assert [key.key_id for key in load_ring(tmp_path / "keys").keys] == ids[:1]


def test_processes_that_make_keys_at_once_lose_none(tmp_path: Path) -> None:
    ids = race(tmp_path / "keys", MAKE)
    assert len(set(ids)) == 6
    assert {key.key_id for key in load_ring(tmp_path / "keys").keys} == set(ids)
    assert all(private_of(tmp_path / "keys", key_id).is_file() for key_id in ids)
    assert ensure_signer(tmp_path / "keys", "host", now=NOW).key_id in ids
    assert [path.name for path in (tmp_path / "keys").rglob("*.new")] == []
