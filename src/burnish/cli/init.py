"""`burnish init`: start in a folder."""

from __future__ import annotations

from pathlib import Path

import click

from burnish.cli import starter
from burnish.errors import InvalidValue
from burnish.loop import open as open_loop

IGNORED = ".burnish/"


@click.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path), default=Path())
def command(*, folder: Path) -> None:
    """Start in a folder: a store, a settings file and an example.

    FOLDER is the current one by default. Files that are there already are never overwritten.
    """
    files = {folder / "burnish.toml": starter.SETTINGS, folder / "example.py": starter.EXAMPLE}
    for path in files:
        if path.exists():
            raise InvalidValue("folder", str(folder), f"{path.name} is there already: move it away, or choose another")
    try:
        _write(folder, files)
    except OSError as error:
        raise InvalidValue("folder", str(folder), f"it cannot be written: {error}") from error
    open_loop(str(folder / ".burnish")).close()
    created = ", ".join((".burnish/", *(path.name for path in files)))
    click.echo(f"Created {created} in {folder.absolute()}.\n\nNext:")
    if folder.absolute() != Path.cwd():
        click.echo(f"  cd {folder}")
    click.echo(starter.NEXT_STEPS)


def _write(folder: Path, files: dict[Path, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for path, text in files.items():
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    ignore = folder / ".gitignore"
    if ignore.is_file():
        before = ignore.read_text(encoding="utf-8")
        if IGNORED not in before.splitlines():
            end = "" if not before or before.endswith("\n") else "\n"
            ignore.write_text(f"{before}{end}{IGNORED}\n", encoding="utf-8")
