"""The declared schema, one file a stage. `verify` holds a database against it; migrations lead to it."""

from __future__ import annotations

from burnish.store.schema import act, capture, govern, learn, score
from burnish.store.schema.base import metadata

__all__ = ["act", "capture", "govern", "learn", "metadata", "score"]
