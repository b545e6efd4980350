"""The declared schema, one file a stage. `verify` holds a database against it; migrations lead to it."""

from __future__ import annotations

from burnish.store.schema import act, capture, curate, govern, learn, propose, score, trial
from burnish.store.schema.base import metadata

__all__ = ["act", "capture", "curate", "govern", "learn", "metadata", "propose", "score", "trial"]
