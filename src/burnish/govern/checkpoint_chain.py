"""Each checkpoint names the one before it in its file, so that none can be taken out, put in or moved unseen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from burnish.govern.note import Checkpoint, Unreadable

Found = Checkpoint | Unreadable


def unfollowed(file: Sequence[Found] | None, kept: Sequence[Found] | None) -> Iterator[str]:
    """Yield what is wrong with the order of a file's checkpoints, and between the file and those that the store keeps.

    The store may lack the last checkpoint of the file: the process that wrote it may have been killed in between. And
    it may keep those of other files, which follow none of this one.
    """
    yield from _out_of_order(file or ())
    if file is None or kept is None:
        return
    ours = [found for found in file if isinstance(found, Checkpoint)]
    theirs = [found for found in kept if isinstance(found, Checkpoint)]
    if theirs and not ours:
        yield f"the file has no checkpoint and the store keeps {len(theirs)}: the file was emptied, or is another one"
    known, heads = {found.fingerprint for found in ours}, {(found.size, found.root) for found in theirs}
    for found in theirs:
        if found.previous in known and found.fingerprint not in known:
            yield f"{found.shown} is missing in the file, where it followed another: the file was cut off or changed"
    for found in ours[:-1]:
        if (found.size, found.root) not in heads:
            yield f"{found.shown} is missing in the store: it was removed there"


def _out_of_order(file: Sequence[Found]) -> Iterator[str]:
    before: Found | None = None
    seen: set[str] = set()
    for found in file:
        if isinstance(found, Checkpoint):
            if found.fingerprint in seen:
                yield f"{found.shown} is there twice"
            elif _astray(found, before):
                yield f"{found.shown} does not follow the one before it: some were removed, put in or reordered"
            seen.add(found.fingerprint)
        before = found


def _astray(found: Checkpoint, before: Found | None) -> bool:
    """Tell whether a checkpoint names another predecessor; after lines that cannot be read, nobody knows."""
    if found.previous is None or isinstance(before, Unreadable):
        return False
    return before is None or found.previous != before.fingerprint
