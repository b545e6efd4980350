"""Turn gitleaks' rule file into the data that the redactor reads; says which rules it leaves out, and why.

    uv run python scripts/vendor_gitleaks.py gitleaks.toml > src/burnish/capture/redaction/rules/gitleaks.json

The patterns are kept letter by letter. Left out are descriptions, allowlists that speak of paths alone, and rules that
RE2 does not accept or that have no pattern.
"""

from __future__ import annotations

import json
import sys
import tomllib
from pathlib import Path
from typing import Any

import re2  # type: ignore[import-untyped]  # it ships none


def rule(found: dict[str, Any]) -> dict[str, Any]:
    """Return the parts of a rule that are used, without those that are not set."""
    allow = [entry for entry in map(allowed, found.get("allowlists", [])) if entry]
    parts = {
        "id": found["id"],
        "regex": found["regex"],
        "keywords": found["keywords"],
        "entropy": found.get("entropy"),
        "group": found.get("secretGroup"),
        "allow": allow,
    }
    return {name: value for name, value in parts.items() if value}


def allowed(found: dict[str, Any]) -> dict[str, Any] | None:
    """Return an allowlist, or None when it needs a path as well or says nothing about the text."""
    if found.get("condition") == "AND" or not ({"regexes", "stopwords"} & set(found)):
        return None
    parts = {
        "target": found.get("regexTarget"),
        "regexes": found.get("regexes"),
        "stopwords": found.get("stopwords"),
    }
    return {name: value for name, value in parts.items() if value}


def refused(found: dict[str, Any]) -> str | None:
    """Return why a rule is left out, or None."""
    if "regex" not in found:
        return "it has no pattern, only a path"
    try:
        re2.compile(found["regex"].encode())
    except re2.error as error:
        return f"RE2 refuses it: {error}"
    return None


def main(source: Path) -> None:
    """Write the rules to standard output and what is left out to standard error."""
    document = tomllib.loads(source.read_text(encoding="utf-8"))
    kept = []
    for found in document["rules"]:
        reason = refused(found)
        if reason is None:
            kept.append(rule(found))
        else:
            print(f"left out: {found['id']}: {reason}", file=sys.stderr)
    everywhere = {name: document["allowlist"][name] for name in ("regexes", "stopwords")}
    json.dump({"allow": everywhere, "rules": kept}, sys.stdout, indent=1, ensure_ascii=False)
    print()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
