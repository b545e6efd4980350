"""Write the off-policy figures as a page a person can check: the bars first, then each table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Bar = tuple[str, str, str, bool]
FLOOR, WIDE = "5 %", "5 % an arm"
NEAR = ("type oracle", "best single")


def report(results: dict[str, Any]) -> str:
    """Return the page in Markdown."""
    parts = [_head(results["about"]), _bars(results), _by_runs(results["groups"])]
    parts += [_by_target(group) for group in results["groups"] if group["floor"] == FLOOR]
    parts += [_power(results["groups"]), _size(results)]
    return "\n\n".join(parts) + "\n"


def _head(about: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in about["versions"].items())
    mode = " --quick" if about["quick"] else ""
    return (
        "# Off-policy evaluation\n\n"
        f"{about['date']}; Python {about['python']}, {versions}; {about['cores']} cores, {about['machine']}; "
        f"{about['replicates']} replicates a world and floor.  \n"
        f"Reproduce: `uv run python -m benchmarks.offpolicy{mode}`\n\n"
        "Burnish's router serves tasks drawn with replacement from a recorded world, from a cold start, and logs its "
        "probabilities; the first 300, 1,000 and 3,000 runs are one log each. The floor is spread over all arms "
        "(hopeless ones get a twentieth of a share), as it ships; *5 % an arm* multiplies it by the number of arms. "
        "Loss is 1 − utility, clipped to [0, 1]. Seven targets that see the task type only are estimated from each log "
        "as paired difference to the router. The truth is the target's mean loss over all tasks minus that of the "
        "router's policies at the time of each run, both exact. *Answered* are the evaluations with support ≥ .95 and "
        "at least 50 effective runs: others get no verdict. *Not widened* are the bounds without √(1 + 8 / ess), which "
        "was added after a first look at these worlds. Replicates share no run, evaluations of one replicate do. "
        f"Margin {about['margin']}, nominal coverage .95."
    )


def bars(results: dict[str, Any]) -> list[Bar]:
    """Return (what, bar, measured, met) for each acceptance bar."""
    groups = results["groups"]
    cells = [group["by_runs"][n] for group in groups for n in group["by_runs"]]
    rows = [_rmse_bar(group) for group in groups if group["floor"] in {FLOOR, WIDE}]
    for group in (group for group in groups if group["floor"] == FLOOR):
        worst = max(_figure(group["by_target"][name]["1000"]["rmse_dr_all"]) for name in NEAR)
        what = f"{group['world']}, floor 5 %: RMSE of {' or '.join(NEAR)}, the higher, answered or not"
        rows.append((what, "≤ .01", f"{worst:.4f}", worst <= 0.01))
    lowest = min(cells, key=lambda cell: _figure(cell["covered"], 1.0))
    covered, few = _figure(lowest["covered"], 1.0), round(lowest["answered"] * lowest["evaluations"])
    bare = min(_figure(cell["covered_without_slack"], 1.0) for cell in cells)
    worse = sum(cell["worse"] for cell in cells)
    passed = sum(cell["worse_passed"] for cell in cells) / max(worse, 1)
    failed = sum(cell["not_worse_failed"] for cell in cells) / max(sum(cell["not_worse"] for cell in cells), 1)
    refused = results["never_tried"]
    return [
        *rows,
        (
            f"Coverage of the bounds, lowest of all worlds, floors, runs ({few} evaluations)",
            "≥ .95",
            f"{covered:.3f}",
            covered >= 0.95,
        ),
        ("The same without the slack for what was not explored", "≥ .95", f"{bare:.3f}", bare >= 0.95),
        (
            f"Refuses a target that takes an arm never tried ({refused['evaluations']:,} evaluations)",
            "100 %",
            f"{refused['refused']:.1%}",
            refused["refused"] == 1.0,
        ),
        (f"Passed, of {worse:,} answered targets that are worse by over .02", "≤ 5 %", f"{passed:.2%}", passed <= 0.05),
        ("Failed, of answered targets that are not worse", "≤ 5 %", f"{failed:.2%}", failed <= 0.05),
    ]


def _rmse_bar(group: dict[str, Any]) -> Bar:
    cell = group["by_runs"]["1000"]
    value = cell["rmse_dr"]
    what = f"{group['world']}, floor {group['floor']}: RMSE at 1,000 runs, answered ({cell['answered']:.0%})"
    return what, "≤ .01", _shown(value, 4), value is not None and value <= 0.01


def _bars(results: dict[str, Any]) -> str:
    rows = [f"| {what} | {bar} | {value} | {'yes' if met else '**no**'} |" for what, bar, value, met in bars(results)]
    return "## Bars\n\n| | bar | measured | met |\n|---|---|---|---|\n" + "\n".join(rows)


def _by_runs(groups: Sequence[dict[str, Any]]) -> str:
    head = (
        "## All targets together\n\nRMSE and coverage of answered evaluations; in parentheses of all.\n\n"
        "| world | floor | runs | answered | no support | too few | RMSE DR | SNIPS | IPS | coverage | without slack "
        "| not widened | normal interval | mean width |\n|---|---|---|---|---|---|---|---|---|---|---|---|---|---|\n"
    )
    rows = [
        f"| {group['world']} | {group['floor']} | {int(n):,} | {f['answered']:.0%} | {f['no_support']:.0%} "
        f"| {f['too_few']:.0%} | {_both(f, 'rmse_dr')} | {_both(f, 'rmse_snips')} | {_both(f, 'rmse_ips')} "
        f"| {_shown(f['covered'], 3)} ({_shown(f['covered_all'], 3)}) | {_shown(f['covered_without_slack'], 3)} "
        f"| {_shown(f['covered_unwidened'], 3)} "
        f"| {_shown(f['covered_by_normal'], 3)} ({_shown(f['covered_by_normal_all'], 3)}) | {_shown(f['width'], 3)} |"
        for group in groups
        for n, f in group["by_runs"].items()
    ]
    return head + "\n".join(rows)


def _by_target(group: dict[str, Any]) -> str:
    head = (
        f"## {group['world']} ({group['arms']} arms), floor {group['floor']}: by target\n\n"
        "RMSE of all evaluations, answered or not; effective runs are medians.\n\n"
        "| target | runs | true difference | RMSE DR | SNIPS | IPS | effective runs | support | answered | pass | fail "
        "|\n|---|---|---|---|---|---|---|---|---|---|---|\n"
    )
    rows = [
        f"| {name} | {int(n):,} | {f['truth']:+.4f} | {_shown(f['rmse_dr_all'], 4)} | {_shown(f['rmse_snips_all'], 4)} "
        f"| {_shown(f['rmse_ips_all'], 4)} | {f['ess']:.0f} | {f['support']:.3f} | {f['answered']:.0%} "
        f"| {f['pass']:.0%} | {f['fail']:.0%} |"
        for name, by_runs in group["by_target"].items()
        for n, f in by_runs.items()
    ]
    return head + "\n".join(rows)


def _power(groups: Sequence[dict[str, Any]]) -> str:
    head = (
        "## Verdicts by true difference\n\nShares of all evaluations, those that got no answer included.\n\n"
        "| world | floor | runs | true difference | evaluations | answered | pass | fail |\n"
        "|---|---|---|---|---|---|---|---|\n"
    )
    rows = [
        f"| {group['world']} | {group['floor']} | {int(n):,} | {name} | {f['evaluations']} | {f['answered']:.0%} "
        f"| {f['pass']:.0%} | {f['fail']:.0%} |"
        for group in groups
        for n, bins in group["power"].items()
        for name, f in bins.items()
        if f["evaluations"]
    ]
    return head + "\n".join(rows)


def _size(results: dict[str, Any]) -> str:
    ledger, arrays = results["sizes"]["ledger"], results["sizes"]["arrays"]
    return (
        f"## Size\n\nOne report of {ledger['runs']:,.0f} runs × {ledger['arms']:.0f} models from a SQLite ledger: "
        f"{ledger['seconds']:.1f} s, {ledger['added_mb']:.0f} MB. One estimate of {arrays['runs']:,.0f} runs × "
        f"{arrays['arms']:.0f} arms: {arrays['seconds']:.1f} s, {arrays['added_mb']:.0f} MB beyond its arrays."
    )


def _both(figures: dict[str, Any], name: str) -> str:
    return f"{_shown(figures[name], 4)} ({_shown(figures[name + '_all'], 4)})"


def _shown(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _figure(value: float | None, otherwise: float = 0.0) -> float:
    return otherwise if value is None else value
