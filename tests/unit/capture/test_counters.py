"""Accounts of processes: kept while they matter, removed when they do not."""

from __future__ import annotations

import os
import time
from pathlib import Path

from burnish.capture.counters import Counters, prune, read_all


def ended(folder: Path, name: str, *, finished: int, stored: int, days_ago: float) -> None:
    """Leave the account of a process that ended some days ago."""
    counters = Counters(folder, name)
    counters.add("finished", finished)
    counters.add("stored", stored)
    path = folder / f"{name}.counts"
    content = path.read_bytes()
    counters.close()
    path.unlink()
    path.write_bytes(content)
    then = time.time() - days_ago * 86_400
    os.utime(path, (then, then))


def test_only_old_accounts_that_lost_nothing_are_removed(tmp_path: Path) -> None:
    ended(tmp_path, "old-complete", finished=5, stored=5, days_ago=30)
    ended(tmp_path, "old-with-loss", finished=5, stored=3, days_ago=30)
    ended(tmp_path, "recent", finished=5, stored=5, days_ago=1)
    living = Counters(tmp_path, "living")
    os.utime(tmp_path / "living.counts", (0, 0))
    assert prune(tmp_path) == 1
    assert [counts.process_id for counts in read_all(tmp_path)] == ["living", "old-with-loss", "recent"]
    assert {counts.process_id: counts.lost for counts in read_all(tmp_path)}["old-with-loss"] == 2
    living.close()


def test_a_folder_that_is_not_there_is_no_error(tmp_path: Path) -> None:
    assert prune(tmp_path / "none") == 0
