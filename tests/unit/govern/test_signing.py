"""Envelopes: what DSSE prescribes, and that no bit of one can change unnoticed."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, strategies as st

from burnish.errors import InvalidValue, SignatureInvalid
from burnish.govern.keyring import Key, KeyRing, trusting
from burnish.govern.signing import MOST_SIGNATURES, Signer, opened, pae, seal, unseal

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
TYPE = "application/vnd.in-toto+json"
A = Signer(
    "A",
    Ed25519PrivateKey.from_private_bytes(
        bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
    ),
)
B = Signer(
    "B",
    Ed25519PrivateKey.from_private_bytes(
        bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")
    ),
)
"""The first two test keys of RFC 8032 §7.1."""


def ring_of(*signers: Signer) -> KeyRing:
    return KeyRing(tuple(key for signer in signers for key in trusting(signer.public, signer.name).keys))


def check(envelope: str, ring: KeyRing, payload_type: str = TYPE) -> bytes:
    return unseal(envelope, payload_type, ring, signed_at=None, now=NOW)


def test_the_encoding_is_that_of_the_dsse_specification() -> None:
    assert pae("http://example.com/HelloWorld", b"hello world") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )
    assert pae(TYPE, b"") == b"DSSEv1 28 application/vnd.in-toto+json 0 "
    assert pae("application/vnd.exämple+json", b"{}").startswith(b"DSSEv1 29 ")


@pytest.mark.parametrize(
    ("payload_type", "payload", "signature"),
    [
        (
            TYPE,
            b'{"_type":"https://in-toto.io/Statement/v1"}',
            "2WAfaHm5jluo0w+0rk8uVkluELJYWjSmU9x7EUzx+AyteDGJ4/nqyJXfmAUVFIAoQafWm7AxBZNw5M9ixNHiCA==",
        ),
        (
            "application/vnd.exämple+json",
            b'{"_type":"https://in-toto.io/Statement/v1"}',
            "xmSk/ug66ysT7ayhkCIjhAq42zgZXSsEWuzUaNL7w2eGAdF/NU6/fRXPtmfN+5DNSAs5/i2lUnHjbbjPsu0tAw==",
        ),
        (TYPE, b"", "gSggCAaTLTYyRH6FIDBem6meyIynsYy8RTHVzwx9tnTb7Bg/1jMWnuVgI/gffqmbsC2VX5/jHfkkDqsj7CDbDg=="),
    ],
)
def test_a_signature_is_that_of_the_dsse_test_vectors(payload_type: str, payload: bytes, signature: str) -> None:
    envelope = seal(payload, payload_type, A)
    assert json.loads(envelope)["signatures"] == [{"keyid": A.key_id, "sig": signature}]
    assert check(envelope, ring_of(A), payload_type) == payload


@given(payload=st.binary(max_size=300), payload_type=st.text(st.characters(codec="utf-8"), max_size=40))
def test_what_is_sealed_is_what_is_unsealed(payload: bytes, payload_type: str) -> None:
    assert check(seal(payload, payload_type, A), ring_of(B, A), payload_type) == payload


def test_no_single_bit_of_an_envelope_can_change() -> None:
    original = seal(b'{"n":1}', TYPE, A).encode()
    ring = ring_of(A)
    for position in range(len(original) * 8):
        changed = bytearray(original)
        changed[position // 8] ^= 1 << position % 8
        with pytest.raises(SignatureInvalid, match=r"the envelope cannot be trusted: .+; .+"):
            check(changed.decode("utf-8", "surrogateescape"), ring)


@given(data=st.data())
def test_no_part_of_an_envelope_can_be_replaced_cut_or_added_to(data: st.DataObject) -> None:
    original = seal(b'{"n":1}', TYPE, A)
    start = data.draw(st.integers(0, len(original)))
    end = data.draw(st.integers(start, len(original)))
    changed = original[:start] + data.draw(st.text(max_size=20)) + original[end:]
    try:
        assert check(changed, ring_of(A)) == b'{"n":1}'
    except SignatureInvalid:
        return
    assert json.loads(changed) == json.loads(original), "only white space between the parts may differ"


@given(text=st.one_of(st.text(max_size=200), st.recursive(st.none() | st.text(), st.lists).map(json.dumps)))
def test_garbage_is_refused_in_one_clear_sentence(text: str) -> None:
    with pytest.raises(SignatureInvalid, match="it is not a DSSE envelope"):
        check(text, ring_of(A))


@pytest.mark.parametrize("text", ["[" * 100_000, '{"payload":' * 100_000, '{"payload":"', "\ud800", "{}", "null"])
def test_hostile_json_is_refused(text: str) -> None:
    with pytest.raises(SignatureInvalid, match="it is not a DSSE envelope"):
        check(text, ring_of(A))


def test_a_refusal_does_not_carry_what_steers_a_terminal() -> None:
    with pytest.raises(SignatureInvalid) as caught:
        check(json.dumps({"\x1b[31mred": 1}), ring_of(A))
    assert "red" in str(caught.value)
    assert str(caught.value).isprintable()


def test_an_envelope_of_another_type_is_refused() -> None:
    envelope = seal(b"{}", "application/vnd.other+json", A)
    with pytest.raises(SignatureInvalid, match=r"it holds 'application/vnd\.other\+json', where"):
        check(envelope, ring_of(A))
    with pytest.raises(SignatureInvalid, match="did not sign this"):
        check(envelope.replace("vnd.other+json", "vnd.in-toto+json"), ring_of(A))


def test_an_unknown_key_is_named() -> None:
    with pytest.raises(SignatureInvalid, match=f"key '{A.key_id}' is not known here; import") as caught:
        check(seal(b"{}", TYPE, A), ring_of(B))
    assert (caught.value.what, caught.value.remedy.split()[0]) == ("the envelope", "import")


def test_a_key_cannot_sign_in_the_name_of_another() -> None:
    forged = seal(b"{}", TYPE, B).replace(B.key_id, A.key_id)
    with pytest.raises(SignatureInvalid, match=r"key A \(sha256:.*did not sign this"):
        check(forged, ring_of(A, B))


def test_one_signature_that_counts_is_enough_and_otherwise_each_refusal_is_told() -> None:
    one, two = json.loads(seal(b"{}", TYPE, A)), json.loads(seal(b"{}", TYPE, B))
    both = json.dumps({**one, "signatures": one["signatures"] + two["signatures"]})
    assert opened(both, TYPE, ring_of(B), signed_at=None, now=NOW).key.name == "B"
    with pytest.raises(SignatureInvalid, match=r"signature 1: key .* not known here; signature 2: key .* not known"):
        check(both, KeyRing())
    many = json.dumps({**one, "signatures": one["signatures"] * (MOST_SIGNATURES + 1)})
    for refused in (many, json.dumps({**one, "signatures": []})):
        with pytest.raises(SignatureInvalid, match="signatures, 1 to 16 are read"):
            check(refused, ring_of(A))


def test_the_payload_is_read_only_after_its_signature_was_found_right() -> None:
    read: list[bytes] = []

    def signed_at(payload: bytes) -> datetime:
        read.append(payload)
        return NOW - timedelta(days=1)

    envelope = seal(b"{}", TYPE, A)
    with pytest.raises(SignatureInvalid):
        unseal(envelope.replace("e30=", "e31="), TYPE, ring_of(A), signed_at=signed_at, now=NOW)
    with pytest.raises(SignatureInvalid):
        unseal(seal(b"{}", TYPE, B).replace(B.key_id, A.key_id), TYPE, ring_of(A), signed_at=signed_at, now=NOW)
    assert read == []
    assert opened(envelope, TYPE, ring_of(A), signed_at=signed_at, now=NOW).at == NOW - timedelta(days=1)
    assert read == [b"{}"]


@pytest.mark.parametrize("length", [0, 1, 63, 65, 10_000])
def test_a_signature_of_the_wrong_length_is_refused(length: int) -> None:
    sealed = json.loads(seal(b"{}", TYPE, A))
    sealed["signatures"][0]["sig"] = base64.b64encode(bytes(length)).decode()
    with pytest.raises(SignatureInvalid, match="did not sign this"):
        check(json.dumps(sealed), ring_of(A))


def test_base64_that_says_the_same_in_another_way_is_refused() -> None:
    envelope = seal(b"{}", TYPE, A)
    for other in ("e31=", "e30", "e30==", "e3\\n0="):
        with pytest.raises(SignatureInvalid, match="payload"):
            check(envelope.replace("e30=", other), ring_of(A))


def test_a_private_key_survives_its_file_and_shows_itself_to_nobody() -> None:
    again = Signer.from_pem("A", A.to_pem(), "a file")
    assert (again.key_id, again.sign(b"x")) == (A.key_id, A.sign(b"x"))
    assert "9d61b1" not in repr(A)
    assert A.key_id in repr(A)


@pytest.mark.parametrize("pem", [b"", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", b"\xff"])
def test_a_damaged_private_key_names_its_file_and_not_its_content(pem: bytes) -> None:
    with pytest.raises(InvalidValue, match=r"private key='keys/x\.pem' is not valid: it is damaged"):
        Signer.from_pem("A", pem, "keys/x.pem")


def test_a_signature_over_other_keys_than_those_of_the_ring_never_counts() -> None:
    key = ring_of(A).keys[0]
    swapped = KeyRing((Key(key_id=key.key_id, name="A", public=B.public, valid_from=key.valid_from),))
    with pytest.raises(SignatureInvalid, match="did not sign this"):
        check(seal(b"{}", TYPE, A), swapped)


def test_nothing_loads_cryptography_before_something_is_signed_or_checked() -> None:
    modules = "burnish, burnish.propose.statement, burnish.propose.portable, burnish.govern.key_folder"
    script = f"import sys, {modules}; print([m for m in sys.modules if m.startswith(('cryptography', 'rfc8785'))])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
