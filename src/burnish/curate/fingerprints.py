"""Mark a task by its content, so that copies of it are found however they are spelled.

Case, width and white space do not count, nor do ids and labels. It finds copies, not paraphrases.
"""

from __future__ import annotations

import unicodedata

import msgspec

from burnish.curate.canonical import canonical, digest


def fingerprint(task: str, inputs: object = None) -> str:
    """Return the mark of a task in words and of what it was given, as JSON.

    Raises:
        InvalidValue: The inputs are not JSON.
    """
    canonical("inputs", inputs)  # refuses what has no form before it is walked through
    return digest(canonical("inputs", [_plain(task), _plain(msgspec.to_builtins(inputs, str_keys=True))]))


def _plain(value: object) -> object:
    if isinstance(value, str):
        return " ".join(unicodedata.normalize("NFKC", value).casefold().split())
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value
