"""`burnish feedback`: what people say of a run, hours or days later."""

from __future__ import annotations

import click

from burnish.cli import shown
from burnish.cli.options import Where, located, writing
from burnish.errors import StoreUnavailable


@click.command()
@click.argument("run")
@click.option("--rating", type=int, help="1 (poor) to 5 (excellent).")
@click.option("--accepted/--rejected", default=None, help="Whether the user took the result.")
@click.option("--success/--failure", default=None, help="Whether the task was solved.")
@click.option("--quality", type=float, help="Graded result, 0 to 1.")
@click.option("--correction", metavar="TEXT", help="What the result should have been; counts as rejected.")
@click.option("--comment", metavar="TEXT", help="Anything else.")
@located
def command(*, run: str, where: Where, **said: object) -> None:
    """Add what people say of a run that has ended.

    RUN is its id, or a beginning of it that no other run shares. Its loss is computed anew, and learning follows.
    """
    given = {name: value for name, value in said.items() if value is not None}
    if not given:
        raise click.UsageError("say something of the run: --rating, --accepted, --success, --correction, …")
    with writing(where) as loop:
        before = loop.explain(run).run
        loop.feedback(before.id, **given)  # type: ignore[arg-type]  # click has parsed each to its type
        if not loop.flush().durable:
            raise StoreUnavailable(loop.store.url, "the feedback was not written")
        after = loop.explain(before.id).run
    shown.line(f"{after.id}: loss {shown.share(before.loss)} → {shown.share(after.loss)}")
