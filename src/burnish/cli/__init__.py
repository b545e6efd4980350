"""The `burnish` command: one command a file, read when it is asked for.

A command parses, calls one function of the loop or the store, and prints its answer. It decides nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click

from burnish import __version__
from burnish.errors import BurnishError

COMMANDS: Mapping[str, str] = {
    "init": "Start in a folder: a store, a settings file and an example.",
    "demo": "See the loop learn on recorded data, offline and without keys.",
    "runs": "List the newest runs.",
    "explain": "Tell why a run went as it did: decisions, calls, gates, signals, loss.",
    "models": "Show what was learned of every model, and how losses move.",
    "route": "Show how the next run of a task type would be routed.",
    "routing": "Show or set how task types are routed.",
    "config": "Show or change the configuration.",
    "feedback": "Add what people say of a run that has ended.",
    "redact": "Print a text as it would be captured: personal data and secrets replaced.",
    "status": "Account for every run captured from this machine.",
    "doctor": "Check the installation and the store, with remedies.",
    "db": "Create, move, verify and fill the store.",
    "policy": "Propose, check, promote and roll back policies.",
    "replay": "Replay POLICY on recorded outcomes.",
    "shadow": "Run candidates beside the policy in charge.",
    "canary": "Give candidates a growing share of the traffic, and see what they show.",
    "experiments": "Show the experiments that made policies.",
    "goldens": "Show or freeze golden datasets.",
    "keys": "Show, make, trust and revoke the keys that sign policies.",
    "audit": "Show, verify, sign and export the log of every governed change.",
    "errors": "Match errors to fixes, teach new ones, and tell what worked.",
}
"""Name → the first sentence of its help. Each is `burnish.cli.NAME`, which exports `command`."""

EXIT_INTERRUPTED = 130
"""What a shell expects of a program that was stopped with Ctrl-C."""


class Commands(click.Group):
    """A group that imports a command when it is called, and prints errors as one line."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names, in the order of a first day's use."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - as above
        """Import a command."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"burnish.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - as above
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - click's signature
        """Run the command that was asked for."""
        try:
            return super().invoke(ctx)
        except BurnishError as error:
            click.echo(f"error: {_one_line(error)}", err=True)
            ctx.exit(1)
        except KeyboardInterrupt:
            ctx.exit(EXIT_INTERRUPTED)


def _one_line(error: BurnishError) -> str:
    """Return what an error says; it may quote text of users and models, which must not steer the terminal."""
    from burnish.cli import shown

    return " ".join(shown.safe(str(error)).split())


@click.group("burnish", cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="burnish", message="%(prog)s %(version)s")
def main() -> None:
    """Burnish: the learning layer for LLM agents.

    Commands take --store and --tenant and, where they print an answer, --json. The store is ./.burnish unless
    BURNISH_URL or burnish.toml says otherwise.
    """
