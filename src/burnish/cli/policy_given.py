"""How a command is given a policy: by its digest in the store, or as a file, exported or written by hand."""

from __future__ import annotations

import getpass
import re
from pathlib import Path
from typing import TypeVar

import click

from burnish.cli.options import Where, reading
from burnish.errors import InvalidValue, SignatureInvalid
from burnish.propose.policy import Policy, read
from burnish.propose.portable import open_bundle

LONGEST_FILE = 32_000_000
Command = TypeVar("Command", bound=click.Command)
_DIGEST = re.compile(r"sha256:[0-9a-f]*|[0-9a-f]+")


def you() -> str:
    """Return who acts on this terminal, as person:NAME."""
    try:
        return f"person:{getpass.getuser()}"
    except (KeyError, OSError):
        return "person:unknown"


by = click.option("--by", default=you, metavar="person:NAME", help="Who does it. [default: you]")


def given(text: str, where: Where) -> Policy:
    """Return the policy of a file, or of the store when no file is called so. Signatures are not checked.

    Raises:
        InvalidValue: There is neither, or the file holds no policy.
        NotFound: The store has no policy of that digest.
    """
    file = Path(text)
    if len(text) < 4_000 and file.is_file():
        return in_file(file)
    if not _DIGEST.fullmatch(text):
        remedy = "No such file; give a file with a policy as JSON, or the digest of one in the store"
        raise InvalidValue("policy", text, remedy)
    with reading(where) as loop:
        return read(loop.policy(text).content)


def in_file(file: Path) -> Policy:
    """Return the policy in a file, whether it was exported or written by hand."""
    raw = bytes_of(file)
    try:
        content, _ = open_bundle(raw)
    except SignatureInvalid:
        return read(raw)
    return read(content)


def bytes_of(file: Path) -> bytes:
    """Return what a file holds, if that is not too much.

    Raises:
        InvalidValue: It is, or it cannot be read.
    """
    try:
        with file.open("rb") as opened:
            found = opened.read(LONGEST_FILE + 1)
    except OSError as error:
        raise InvalidValue("file", str(file), f"it cannot be read: {error.strerror}") from error
    if len(found) > LONGEST_FILE:
        raise InvalidValue("file", str(file), f"a policy file has at most {LONGEST_FILE:,} bytes")
    return found
