"""Sign bytes and check what is signed: Ed25519 (RFC 8032) in DSSE envelopes (v1.0.2).

A signature covers the type and the payload as bytes (`pae`), so nothing is parsed before it is checked. Envelopes are
valid DSSE for every other reader. As a reader this is stricter than DSSE asks: every signature names its key, base64 is
of the standard alphabet, unknown fields are refused, so that no byte of an envelope can be changed and still pass.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from burnish.errors import InvalidValue, SignatureInvalid
from burnish.govern.keyring import Key, KeyRing, check_signature, check_time, key_id_of

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

MOST_SIGNATURES = 16
MOST_CHARACTERS = 16_000_000
_AGAIN = "get the original again from its source"


class Signer:
    """A private key and whose it is. It signs; it shows itself to nobody."""

    def __init__(self, name: str, private: Ed25519PrivateKey) -> None:
        public = private.public_key().public_bytes_raw()
        self.name = name
        self.key_id = key_id_of(public)
        self.public = base64.b64encode(public).decode()
        self._private = private

    @classmethod
    def generate(cls, name: str) -> Signer:
        """Return one with a new key, from the operating system's randomness."""
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        return cls(name, Ed25519PrivateKey.generate())

    @classmethod
    def from_pem(cls, name: str, pem: bytes, source: str) -> Signer:
        """Return the one whose private key was written by `to_pem`.

        Raises:
            InvalidValue: It is not an Ed25519 private key in PEM; names the source, never the content.
        """
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        try:
            private = serialization.load_pem_private_key(pem, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise InvalidValue("private key", source, "it is damaged: restore it, or make another key") from error
        if not isinstance(private, Ed25519PrivateKey):
            raise InvalidValue("private key", source, "give an Ed25519 key")
        return cls(name, private)

    def to_pem(self) -> bytes:
        """Return the private key as PKCS #8 in PEM, not encrypted: keep it where only its owner reads."""
        from cryptography.hazmat.primitives import serialization

        return self._private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    def sign(self, message: bytes) -> bytes:
        """Return the 64 bytes that prove this key saw these bytes."""
        return self._private.sign(message)

    def __repr__(self) -> str:
        return f"Signer(name={self.name!r}, key_id={self.key_id!r})"


class Opened(msgspec.Struct, frozen=True, kw_only=True):
    """What was in an envelope, and who vouches for it."""

    payload: bytes
    key: Key
    at: datetime


class _Signature(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    keyid: str
    sig: str


class _Envelope(msgspec.Struct, frozen=True, rename={"payload_type": "payloadType"}, forbid_unknown_fields=True):
    payload: str
    payload_type: str
    signatures: list[_Signature]


def pae(payload_type: str, payload: bytes) -> bytes:
    """Return what is signed: DSSE's pre-authentication encoding, lengths in bytes."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def seal(payload: bytes, payload_type: str, signer: Signer) -> str:
    """Return the DSSE envelope of a payload, as JSON."""
    signature = _Signature(signer.key_id, base64.b64encode(signer.sign(pae(payload_type, payload))).decode())
    return msgspec.json.encode(_Envelope(base64.b64encode(payload).decode(), payload_type, [signature])).decode()


def unseal(
    envelope: str,
    payload_type: str,
    ring: KeyRing,
    *,
    signed_at: Callable[[bytes], datetime] | None,
    now: datetime,
) -> bytes:
    """Return the payload of an envelope that at least one key of the ring vouches for.

    Args:
        envelope: What `seal` returned.
        payload_type: What the payload has to be; part of what was signed.
        ring: The keys that are trusted.
        signed_at: Reads the time of signing from a payload whose signature was found to be right; without it, the key
            has to count now.
        now: The current time.

    Raises:
        SignatureInvalid: It is damaged, of another type, or no signature counts; says why.
    """
    return opened(envelope, payload_type, ring, signed_at=signed_at, now=now).payload


def opened(
    envelope: str,
    payload_type: str,
    ring: KeyRing,
    *,
    signed_at: Callable[[bytes], datetime] | None,
    now: datetime,
    what: str = "the envelope",
) -> Opened:
    """Return the payload of an envelope with the key that vouches for it; otherwise as `unseal`."""
    found = _parsed(envelope, what)
    if found.payload_type != payload_type:
        reason = f"it holds {found.payload_type[:80]!r}, where {payload_type!r} is wanted"
        raise SignatureInvalid(what, reason, "hand over the envelope of a signed policy")
    payload = _decoded(found.payload, "payload", what)
    message, refusals = pae(payload_type, payload), []
    for signature in found.signatures:
        try:
            key = check_signature(ring, signature.keyid, message, _decoded(signature.sig, "signature", what), what)
            at = now if signed_at is None else signed_at(payload)
            check_time(key, at, now, what)
        except SignatureInvalid as refusal:
            refusals.append(refusal)
        else:
            return Opened(payload=payload, key=key, at=at)
    raise _all(refusals, what)


def _parsed(envelope: str, what: str) -> _Envelope:
    if len(envelope) > MOST_CHARACTERS:
        raise SignatureInvalid(what, f"it is longer than {MOST_CHARACTERS:,} characters", _AGAIN)
    try:
        found = msgspec.json.decode(envelope.encode(), type=_Envelope)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise SignatureInvalid(what, f"it is not a DSSE envelope ({error})", _AGAIN) from error
    if not 0 < len(found.signatures) <= MOST_SIGNATURES:
        raise SignatureInvalid(
            what, f"it has {len(found.signatures):,} signatures, 1 to {MOST_SIGNATURES} are read", _AGAIN
        )
    return found


def _decoded(text: str, part: str, what: str) -> bytes:
    """Return the bytes of base64 that is written the one way it can be."""
    try:
        found = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise SignatureInvalid(what, f"its {part} is not base64", _AGAIN) from error
    if base64.b64encode(found).decode() != text:
        raise SignatureInvalid(what, f"the base64 of its {part} was changed", _AGAIN)
    return found


def _all(refusals: list[SignatureInvalid], what: str) -> SignatureInvalid:
    if len(refusals) == 1:
        return refusals[0]
    reasons = "; ".join(f"signature {number}: {refusal.reason}" for number, refusal in enumerate(refusals, 1))
    return SignatureInvalid(what, reasons, "one signature that counts is enough: see the remedy of each")
