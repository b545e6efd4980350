"""A signed policy as one file, to move it to another installation.

The file holds the canonical policy and the envelope, each as a JSON string, so that the signed bytes travel unchanged.
It holds no keys: whom to trust is never learned from what asks to be trusted.
"""

from __future__ import annotations

import msgspec

from burnish.errors import SignatureInvalid
from burnish.propose.policy import Policy

FORMAT = "burnish-policy/1"


class _Bundle(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    format: str
    content: str
    envelope: str


def bundle(policy: Policy | str, envelope: str) -> str:
    """Return the file of a policy and its envelope, as JSON that ends with a newline.

    Args:
        policy: The policy, or its canonical text as the store keeps it.
        envelope: What vouches for it.

    Raises:
        InvalidValue: The policy has no canonical form.
    """
    content = policy if isinstance(policy, str) else policy.canonical.decode()
    made = _Bundle(format=FORMAT, content=content, envelope=envelope)
    return msgspec.json.format(msgspec.json.encode(made), indent=2).decode() + "\n"


def open_bundle(text: bytes | str) -> tuple[str, str]:
    """Return the canonical policy and the envelope of a file; neither is verified yet.

    Raises:
        SignatureInvalid: It is not such a file.
    """
    again = "export the policy again with `burnish policy export`"
    try:
        raw = text.encode() if isinstance(text, str) else text
        found = msgspec.json.decode(raw, type=_Bundle)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise SignatureInvalid("the policy file", f"it is not an exported policy ({error})", again) from error
    if found.format != FORMAT:
        reason = f"its format is {found.format[:40]!r}, this release reads {FORMAT!r}"
        raise SignatureInvalid("the policy file", reason, again)
    return found.content, found.envelope
