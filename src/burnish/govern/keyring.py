"""Whose signatures count, and for which time: the public keys that this installation trusts.

The ring knows nothing of files (`key_folder` keeps it) nor of envelopes (`signing` reads them). A key is named by the
SHA-256 of its 32 raw bytes, so that a name cannot be given to another key.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal, TypeAlias, get_args

import msgspec

from burnish.errors import InvalidValue, SignatureInvalid

Moment: TypeAlias = Annotated[datetime, msgspec.Meta(tz=True)]
Reason: TypeAlias = Literal["compromised", "superseded", "unused"]
REASONS: tuple[Reason, ...] = get_args(Reason)
SKEW = timedelta(minutes=5)
"""How far the clock of whoever signed may be ahead of ours."""
ALWAYS = datetime(1970, 1, 1, tzinfo=UTC)
PEM = "-----BEGIN PUBLIC KEY-----"
_PRIME = 2**255 - 19
_SMALL_ORDER = {
    0,
    1,
    _PRIME - 1,
    _PRIME,
    _PRIME + 1,
    2707385501144840649318225287225658788936804267575313519463743609750303021466,
    55188659117513257062467267217118295137698188065244968500265048394206261417927,
}
"""The y of points of order 1 to 8: under such a key, anybody can make signatures."""


class Key(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A public key, whose it is, and when its signatures count."""

    key_id: str
    name: str
    public: str
    """Base64 of the 32 raw bytes (RFC 8032)."""
    valid_from: Moment
    valid_until: Moment | None = None
    """Signatures of this time and later do not count; None means no end."""
    revoked_at: Moment | None = None
    revocation_reason: Reason | None = None
    """`compromised` takes back every signature of the key; the others take back those since `revoked_at`."""

    def refusal(self, at: datetime, now: datetime) -> tuple[str, str] | None:
        """Return why a signature that states to be of a time does not count, and the remedy; None when it does."""
        again = "have it signed with a key that is valid"
        if self.revocation_reason == "compromised":
            return f"key {self.called} was revoked as compromised: none of its signatures counts", again
        if at > now + SKEW:
            return f"it was signed in the future, at {_shown(at)}", "set the clock of this machine and of the signer's"
        if self.revoked_at is not None and at >= self.revoked_at:
            return f"key {self.called} was revoked at {_shown(self.revoked_at)} ({self.revocation_reason})", again
        if at < self.valid_from:
            return (
                f"key {self.called} is valid only from {_shown(self.valid_from)}, it was signed at {_shown(at)}",
                again,
            )
        if self.valid_until is not None and at >= self.valid_until:
            return f"key {self.called} expired at {_shown(self.valid_until)}, it was signed at {_shown(at)}", again
        return None

    def serves(self, now: datetime) -> bool:
        """Tell whether a signature made now counts."""
        return self.revoked_at is None and self.refusal(now, now) is None

    @property
    def called(self) -> str:
        """Return its name and the beginning of its id, for people."""
        return f"{self.name} ({self.key_id[:19]}…)"


class KeyRing(msgspec.Struct, frozen=True):
    """The keys that are trusted."""

    keys: Sequence[Key] = ()

    def find(self, key_id: str) -> Key | None:
        """Return the key of this id."""
        return next((key for key in self.keys if key.key_id == key_id), None)

    def verify(self, key_id: str, message: bytes, signature: bytes, *, at: datetime, now: datetime) -> None:
        """Check a signature, and that its key counts for the time at which it was made.

        Args:
            key_id: The key that is said to have made it.
            message: What was signed, to the byte.
            signature: The 64 bytes of RFC 8032.
            at: When it was made, as stated in the message.
            now: The current time.

        Raises:
            SignatureInvalid: The key is not in the ring, did not sign this, or does not count for that time.
        """
        what = "the signature"
        check_time(check_signature(self, key_id, message, signature, what), at, now, what)


def trusting(public: str, name: str) -> KeyRing:
    """Return the ring of one public key, PEM or base64, that counts for all times.

    Raises:
        InvalidValue: It is not an Ed25519 public key.
    """
    text = read_public(public)
    return KeyRing((Key(key_id=key_id_of(raw(text)), name=name, public=text, valid_from=ALWAYS),))


def check_signature(ring: KeyRing, key_id: str, message: bytes, signature: bytes, what: str) -> Key:
    """Return the key of the ring that made a signature, whatever time it counts for.

    Raises:
        SignatureInvalid: There is no such key, or it did not sign this.
    """
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    key = ring.find(key_id)
    if key is None:
        raise SignatureInvalid(
            what,
            f"key {key_id[:80]!r} is not known here",
            "import the public key with `burnish keys import` if you trust whoever holds it",
        )
    try:
        Ed25519PublicKey.from_public_bytes(raw(key.public)).verify(signature, message)
    except InvalidSignature as error:
        reason = f"key {key.called} did not sign this: it, or its signature, was changed"
        raise SignatureInvalid(what, reason, "get the original again from its source") from error
    return key


def check_time(key: Key, at: datetime, now: datetime, what: str) -> None:
    """Check that a key counts for the time at which something was signed.

    Raises:
        SignatureInvalid: It does not.
    """
    refusal = key.refusal(at, now)
    if refusal is not None:
        raise SignatureInvalid(what, *refusal)


def key_id_of(public: bytes) -> str:
    """Return the id of a public key: `sha256:` and 64 hexadecimal digits."""
    return "sha256:" + hashlib.sha256(public).hexdigest()


def raw(public: str) -> bytes:
    """Return the 32 bytes of a public key that is written as base64.

    Raises:
        InvalidValue: It is not one, or is one under which anybody can sign.
    """
    try:
        found = base64.b64decode(public, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidValue("public key", public[:80], "give the base64 of an Ed25519 public key, or PEM") from error
    if len(found) != 32 or base64.b64encode(found).decode() != public:
        raise InvalidValue("public key", public[:80], "an Ed25519 public key is 32 bytes: 44 characters of base64")
    if int.from_bytes(found, "little") & (2**255 - 1) in _SMALL_ORDER:
        raise InvalidValue("public key", public, "it is of small order: anybody can make its signatures")
    return found


def read_public(text: str) -> str:
    """Return the base64 of a public key that was handed over as PEM or base64.

    Raises:
        InvalidValue: It is neither, it is of another kind, or it is a private key.
    """
    text = text.strip()
    if "PRIVATE KEY" in text:
        remedy = "it stays where it was made: hand over what `burnish keys export` prints"
        raise InvalidValue("public key", "a private key", remedy)
    return _from_pem(text) if text.startswith(PEM) else base64.b64encode(raw(text)).decode()


def pem_of(public: str) -> str:
    """Return a public key as PEM, which other tools read."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    key = Ed25519PublicKey.from_public_bytes(raw(public))
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()


def _from_pem(text: str) -> str:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        found = serialization.load_pem_public_key(text.encode())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise InvalidValue("public key", text[:80], "it is not valid PEM") from error
    if not isinstance(found, Ed25519PublicKey):
        raise InvalidValue("public key", type(found).__name__, "give an Ed25519 key")
    public = base64.b64encode(found.public_bytes_raw()).decode()
    raw(public)
    return public


def _shown(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
