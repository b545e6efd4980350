"""Put the demo on: find a world and a place for its store, play the story, repeat its learning with other seeds."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.resources import as_file, files
from pathlib import Path

import msgspec

import burnish
from burnish import settings
from burnish.demo.figures import learning_of, report_of, seeds_of
from burnish.demo.records import Plan, Step, Story
from burnish.demo.report import Learning, Report, Seeds
from burnish.demo.story import Watch, tell
from burnish.demo.trust import Told
from burnish.demo.trust_report import Audit
from burnish.errors import InvalidValue
from burnish.testing.world import RecordedWorld

SHIPPED = "the OpenHands index"
HOME = ".burnish"
FILE = "burnish.db"


class Stage(msgspec.Struct, frozen=True, kw_only=True):
    """Where the store goes."""

    folder: Path
    usual: bool
    """Whether commands find the store without being told."""

    @property
    def option(self) -> str:
        """Return what a command needs to find the store."""
        return "" if self.usual else f" --store {self.folder}"


class Performed(msgspec.Struct, frozen=True, kw_only=True):
    """The report, and the runs in the store that it explains."""

    report: Report
    explained: list[tuple[str, str]]
    """Id of a run, and why it is worth reading."""


def world_of(data: Path | None) -> tuple[RecordedWorld, str]:
    """Return the shipped world or the user's own, with its name.

    Raises:
        InvalidValue: The file is no complete matrix of at least two models.
    """
    if data is None:
        with as_file(files("burnish.demo").joinpath("data", "demo_openhands.csv.gz")) as path:
            return RecordedWorld.load(path), SHIPPED
    world = RecordedWorld.load(data)
    if len(world.models) < 2:
        raise InvalidValue(data.name, f"{len(world.models)} model", "give at least two models to choose from")
    return world, data.name


def stage(wanted: Path | None) -> Stage:
    """Choose a folder that holds no store: the usual one when it is free, else a new one beside it.

    Raises:
        InvalidValue: The folder that was asked for holds a store.
    """
    usual = settings.load().url == HOME
    if wanted is not None:
        if (wanted / FILE).exists():
            raise InvalidValue("--store", str(wanted), "give an empty folder: the demo does not mix with your runs")
        return Stage(folder=wanted, usual=usual and wanted == Path(HOME))
    if usual and not (Path(HOME) / FILE).exists():
        return Stage(folder=Path(HOME), usual=True)
    number = 1
    while (folder := Path(f"{HOME}-demo-{number}")).exists():
        number += 1
    return Stage(folder=folder, usual=False)


def perform(
    world: RecordedWorld,
    plan: Plan,
    place: Stage,
    *,
    name: str,
    repeats: int = 1,
    watch: Watch,
    told: Told = lambda *_: None,
    repeated: Callable[[int], None] = lambda _: None,
) -> Performed:
    """Play the story into the store; with `repeats` above 1 also its learning, with the seeds that follow."""
    story, loop = tell(place.folder, world, plan, watch=watch, told=told)
    loop.close()
    audit = audited(place.folder)
    first = learning_of(story, world)
    seeds = repeat(world, plan, first, repeats, repeated) if repeats > 1 else None
    report = report_of(story, world, name=name, shipped=name == SHIPPED, seeds=seeds, audit=audit)
    return Performed(report=report, explained=[(_id(story, e.at), e.why) for e in story.explained])


def repeat(
    world: RecordedWorld, plan: Plan, first: Learning, repeats: int, repeated: Callable[[int], None] = lambda _: None
) -> Seeds:
    """Play the learning rounds with further seeds in folders that are thrown away."""
    learnings = [first]
    for number in range(1, repeats):
        again = msgspec.structs.replace(plan, seed=plan.seed + number, check_rounds=0, drift_rounds=0, trust=False)
        with tempfile.TemporaryDirectory(prefix="burnish-demo-") as folder:
            story, loop = tell(folder, world, again)
            loop.close()
        learnings.append(learning_of(story, world))
        repeated(number + 1)
    return seeds_of(learnings)


def audited(folder: Path) -> Audit:
    """Verify the audit log of a store against the checkpoints that were signed when its loop was closed."""
    from burnish.govern.audit_report import verify
    from burnish.govern.checkpoint import read_checkpoints

    with burnish.open(str(folder)) as loop:
        kept = read_checkpoints(loop.checkpoints) if loop.checkpoints.exists() else None
        found = verify(loop.store, kept, loop.keys.ring(), now=datetime.now(UTC))
    return Audit(events=found.events, issues=len(found.issues))


def _id(story: Story, at: int) -> str:
    step: Step = story.steps[at - 1]
    return step.run_id
