"""Check signatures with public keys that were handed over: all a stranger needs to verify a log.

These keys count for any time. An installation of its own asks its key ring, which knows since when and until when.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from datetime import datetime
from hashlib import sha256
from pathlib import Path

from burnish.errors import InvalidValue


class PublicKeys:
    """Ed25519 public keys, by their ids."""

    def __init__(self, keys: Iterable[bytes]) -> None:
        self._keys = {"sha256:" + sha256(key).hexdigest(): key for key in keys}

    @classmethod
    def from_files(cls, files: Iterable[Path]) -> PublicKeys:
        """Read one key a file: PEM, or base64 of the 32 bytes.

        Raises:
            InvalidValue: A file holds something else.
        """
        return cls(_read(file) for file in files)

    def verify(self, key_id: str, message: bytes, signature: bytes, *, at: datetime, now: datetime) -> None:  # noqa: ARG002 - the shape of a key ring
        """Check a signature.

        Raises:
            InvalidValue: The key is not one of these, or did not sign this.
        """
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        if key_id not in self._keys:
            raise InvalidValue("key", key_id[:80], "it is none of those that are trusted here")
        try:
            Ed25519PublicKey.from_public_bytes(self._keys[key_id]).verify(signature, message)
        except InvalidSignature as error:
            raise InvalidValue("signature", key_id[:80], "this key did not sign it") from error


def _read(file: Path) -> bytes:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        content = file.read_bytes().strip()
        if not content.startswith(b"-----"):
            return Ed25519PublicKey.from_public_bytes(base64.b64decode(content, validate=True)).public_bytes_raw()
        found = load_pem_public_key(content)
    except (OSError, ValueError, UnsupportedAlgorithm) as error:
        raise InvalidValue("key", str(file), f"it is no Ed25519 public key ({error})") from error
    if not isinstance(found, Ed25519PublicKey):
        raise InvalidValue("key", str(file), "give an Ed25519 public key")
    return found.public_bytes_raw()
