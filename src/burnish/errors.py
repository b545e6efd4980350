"""What can go wrong, one class a boundary, each message built inside.

The tree:

    BurnishError
    ├── InvalidValue         a value handed to Burnish is out of its range; names the field and the remedy
    ├── LoopClosed           the loop was used after close()
    ├── NoEligibleModel      a decision was asked for and no model may be chosen
    ├── NotFound             an id or name that the store does not hold
    │   └── Ambiguous        the beginning of an id that several share
    ├── AuditBroken          the audit log does not continue what was signed of it; nothing more is signed
    ├── GateRefused          a policy may not take a status yet; names what is missing
    ├── SigningKeyMissing    a policy has to be signed and this machine has no key
    ├── TransitionConflict   somebody else changed a policy or deployment meanwhile; nothing was changed
    ├── RedactionFailed      personal data could not be replaced; text is dropped rather than kept as it is
    ├── MissingExtra         an optional package is not installed; gives the exact command
    ├── SignatureInvalid     what is signed cannot be trusted; names what, why and the remedy
    ├── ContentChanged       what was frozen under a digest is no longer what it was
    └── StoreError           the ledger said no
        ├── InvalidStoreUrl  the URL names no supported database
        ├── StoreUnavailable the database cannot be reached or is busy; capture spools and retries
        ├── StoreReadOnly    the folder or database may not be written
        ├── StoreCorrupt     the database file is damaged
        └── SchemaMismatch   the tables are older or newer than this release

Capture catches all of these and reports them as data (`CaptureProblem`), because a learning layer
must not break its host; with `strict=True` they are raised where they happen.
"""

from __future__ import annotations


class BurnishError(Exception):
    """Base of every error that Burnish raises on purpose."""


class InvalidValue(BurnishError, ValueError):
    """A value is outside the range its field allows."""

    def __init__(self, field: str, value: object, remedy: str) -> None:
        super().__init__(f"{field}={_shown(value)} is not valid: {remedy}")
        self.field = field
        self.remedy = remedy


class LoopClosed(BurnishError):
    """The loop was closed before this call."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} was called after the loop was closed: open a new one with burnish.open()")


class NoEligibleModel(BurnishError):
    """No model may be chosen for a decision."""

    def __init__(self, agent: str, task_type: str) -> None:
        super().__init__(
            f"no model to choose from for agent {agent!r}, task type {task_type!r}: pass models=[...] to decide() or "
            "burnish.open(), or set them once with `burnish config set route.models '[\"...\"]'`"
        )


_LISTED = {
    "policy": "burnish policy list",
    "canary": "burnish canary list",
    "deployment": "burnish canary list",
    "shadow": "burnish shadow list",
    "experiment": "burnish experiments list",
    "golden": "burnish goldens list",
    "key": "burnish keys list",
    "error": "burnish errors list",
}
_PLURAL = {"policy": "policies", "canary": "canaries"}


class NotFound(BurnishError, LookupError):
    """The store holds nothing under this id or name."""

    def __init__(self, kind: str, key: str, where: str) -> None:
        super().__init__(
            f"no {kind} {key!r} in {where}: list what is there with `{_LISTED.get(kind, f'burnish {kind}s')}`"
        )


class Ambiguous(NotFound):
    """Several things share the beginning of an id."""

    def __init__(self, kind: str, key: str, where: str) -> None:
        LookupError.__init__(
            self, f"several {_PLURAL.get(kind, f'{kind}s')} in {where} start with {key!r}: give more of the id"
        )


class AuditBroken(BurnishError):
    """The audit log does not continue the last signed checkpoint."""

    def __init__(self, url: str, what: str) -> None:
        super().__init__(
            f"the audit log of {url} was not signed: {what}; see what was changed with `burnish audit verify`"
        )


class GateRefused(BurnishError):
    """A policy has not earned the status that was asked for."""

    def __init__(self, policy: str, to_status: str, reason: str) -> None:
        super().__init__(f"policy {policy[:19]} may not become {to_status}: {reason}")
        self.reason = reason


class SigningKeyMissing(BurnishError):
    """Something has to be signed, and this machine has no private key for it."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what} has to be signed and this machine has no valid signing key: make one with `burnish keys new` "
            "(and give the other machines its public half with `burnish keys import`)"
        )


class TransitionConflict(BurnishError):
    """A compare-and-set failed: what was to be changed is no longer what it was when it was read."""

    def __init__(self, what: str, cause: str) -> None:
        super().__init__(f"{what} was not changed: {cause}; look at it anew and try again")


class RedactionFailed(BurnishError):
    """Redaction does not work, so no text is captured."""

    def __init__(self, cause: str) -> None:
        super().__init__(f"redaction does not work: {cause}; until it does, text is kept as <redaction failed>")


class MissingExtra(BurnishError, ImportError):
    """An optional package is needed and not installed."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(f"{purpose} needs {package}: install it with `pip install 'burnish[{extra}]'`")


class SignatureInvalid(BurnishError):
    """What should be signed is not, or not by a key that may be trusted with it."""

    def __init__(self, what: str, reason: str, remedy: str) -> None:
        reason = "".join(c if c.isprintable() else "�" for c in reason)
        super().__init__(f"{what} cannot be trusted: {reason}; {remedy}")
        self.what = what
        self.reason = reason
        self.remedy = remedy


class ContentChanged(BurnishError):
    """What was frozen under a digest has another one now."""

    def __init__(self, what: str, frozen: str, found: str | None) -> None:
        super().__init__(
            f"{what} was changed after it was frozen: it was {frozen} and is now {found or 'not readable'}; restore it "
            "from a backup, or freeze its items anew, which makes a new version"
        )


class StoreError(BurnishError):
    """The ledger refused or failed."""


class InvalidStoreUrl(StoreError, ValueError):
    """A store URL names no supported database."""

    def __init__(self, url: str) -> None:
        super().__init__(
            f"store URL {url!r} is not supported: use a folder path (SQLite), sqlite:///FILE "
            "or postgresql://USER@HOST:PORT/DATABASE"
        )


class StoreUnavailable(StoreError):
    """The database cannot be reached, or stays locked."""

    def __init__(self, url: str, cause: str) -> None:
        super().__init__(
            f"store {url} cannot be reached: {cause.strip()}; check that it runs and that the URL is right"
        )


class StoreReadOnly(StoreError):
    """The store may not be written."""

    def __init__(self, url: str, cause: str) -> None:
        super().__init__(f"store {url} cannot be written: {cause.strip()}; choose a writable folder with BURNISH_URL")


class StoreCorrupt(StoreError):
    """The database file is damaged."""

    def __init__(self, url: str, cause: str) -> None:
        super().__init__(
            f"store {url} is damaged: {cause.strip()}; move the file aside and restore your latest backup, "
            "or start afresh in an empty folder (nothing was changed in the damaged file)"
        )


class SchemaMismatch(StoreError):
    """The tables in the store do not fit this release."""

    def __init__(self, url: str, found: str | None, wanted: str) -> None:
        super().__init__(
            f"store {url} has schema {found or 'none'}, this release needs {wanted}: run `burnish db upgrade` "
            "(or install the release that wrote it)"
        )


def _shown(value: object) -> str:
    """Return a value as text of at most 80 characters; a value whose own repr fails is shown by its type."""
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 - whatever a hostile value raises, the message must be made
        text = f"<{type(value).__name__}>"
    return text if len(text) <= 80 else text[:77] + "..."
