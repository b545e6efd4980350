"""Each kind is found in the forms people write it in, and what only looks like it is left alone."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, strategies as st

from benchmarks.redaction import judge
from benchmarks.redaction_data import decoy_lines, presidio_research, run_texts, secrets
from burnish.capture.redaction import selftest
from burnish.capture.redaction.patterns import compiled
from burnish.capture.redaction.scanner import KINDS, Custom, Finding, Scanner, scanner
from burnish.errors import RedactionFailed

EVERY = frozenset(KINDS)
HOSTILE = (
    "1",
    "1 ",
    "4111 ",
    "a.",
    "a@",
    "1:",
    "key=",
    "-----BEGIN PRIVATE KEY-----",
    'password:"',
    "curl -u ",
    "é",
    "<",
)


def found(text: str, kinds: frozenset[str] = EVERY) -> list[tuple[str, str]]:
    data = text.encode()
    return [(item.kind, data[item.start : item.end].decode()) for item in scanner().find(data, kinds=kinds)]


def in_characters(text: str) -> list[tuple[str, int, int]]:
    data = text.encode()
    return [
        (item.kind, len(data[: item.start].decode()), len(data[: item.end].decode()))
        for item in scanner().find(data, kinds=EVERY)
    ]


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("email", "mail <j.doe+x@mail.example.co.uk>, please", "j.doe+x@mail.example.co.uk"),
        ("email", "schreib an jürgen@müller.de!", "jürgen@müller.de"),
        ("email", "mailto:bob@example.com", "bob@example.com"),
        ("ssn", "ssn=536228145", "536228145"),
        ("ssn", "it is 536-22-8145.", "536-22-8145"),
        ("card", "4111-1111-1111-1111", "4111-1111-1111-1111"),
        ("card", "amex 3782 822463 10005", "3782 822463 10005"),
        ("card", "order 12 4111111111111111", "4111111111111111"),
        ("iban", "to gb29nwbk60161331926819", "gb29nwbk60161331926819"),
        ("iban", "NL91 ABNA 0417 1643 00 now", "NL91 ABNA 0417 1643 00"),
        ("phone", "call (415) 555-2671", "(415) 555-2671"),
        ("phone", "Tel.: 030 901820", "030 901820"),
        ("phone", "+41 (0)44 668 18 00 is it", "+41 (0)44 668 18 00"),
        ("phone", "06 12 34 56 78", "06 12 34 56 78"),
        ("phone", "手机 13800138000", "13800138000"),
        ("phone", "415-555-2671x204", "415-555-2671x204"),
        ("phone", "(0171-7348233)", "0171-7348233"),
        ("ip", "from 203.0.113.77:8080", "203.0.113.77"),
        ("ip", "peer [2001:db8::8a2e:370:7334]", "2001:db8::8a2e:370:7334"),
        ("secret", "my password is hunter2!", "hunter2!"),
        ("secret", '{"db_password": "two words"}', "two words"),
        ("secret", r"{\"token\": \"aB3dE5gH7jK9mN\"}", "aB3dE5gH7jK9mN"),
        ("secret", "Authorization: Basic dXNlcjpwYXNzd29yZDEyMw==", "dXNlcjpwYXNzd29yZDEyMw=="),
        ("secret", "--password s3cret-stuff", "s3cret-stuff"),
        ("secret", "bot 110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw", "110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw"),
        ("secret", "<password>hunter22</password>", "hunter22"),
    ],
)
def test_a_value_is_found_as_it_is_written(kind: str, text: str, value: str) -> None:
    assert found(text) == [(kind, value)]


def test_the_password_in_a_url_goes_and_the_rest_stays_readable() -> None:
    text = "postgresql://app:s3cr3t@localhost:5432/orders"
    assert found(text) == [("secret", "s3cr3t")]


def test_a_private_key_goes_whole_even_when_its_end_was_cut() -> None:
    block = "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA7\nabc+/=="
    assert found(f"key:\n{block}") == [("secret", block)]


@pytest.mark.parametrize(
    "text",
    [
        "run 0192f3a4-7b1c-7def-8a90-123456789012",
        "commit 3f2a9c1d0b7e6f5a4c3b2d1e0f9a8b7c6d5e4f3a",
        "version 1.2.3.4, chrome/1.2.3.4, numpy==1.26.4.1",
        "took 0.123456789 s, 12345.678901",
        "2026-11-24T11:08:04.123456+01:00 and 20261124 110804",
        "order 12345678, ORD-11223344, ticket 987654321, at 1700000000000",
        "card 4111 1111 1111 1112",
        "pip install package@1.2.3, icon@2x.png, git@github.com:org/repo",
        "std::vector<int>, ab::cd, 00:1a:2b:3c:4d:5e, 11:08:04",
        "0123456789 and 01234567",
        "127.0.0.1:8080 and 0.0.0.0 and ::1",
        "def f(password: str, token: str | None = None) -> None: ...",
        "password=settings.password, token=os.environ['TOKEN'], password: required",
        "the password is incorrect; max_tokens=4096; key: orders-2026-11; api_key=${API_KEY}",
        "gpt-4o-2024-08-06 claude-sonnet-4-5-20250929 meta-llama/Llama-3.3-70B-Instruct ft:gpt-4o-mini:org::8a9bcd",
        "chatcmpl-9xYzAbCdEfGh123456 resp_68a1b2c3d4",
    ],
)
def test_identifiers_numbers_and_code_are_left_alone(text: str) -> None:
    assert found(text) == []


@pytest.mark.parametrize("kind", ["ssn", "email", "card", "phone", "iban", "ip"])
def test_the_public_set_is_found_with_high_recall_and_precision(kind: str) -> None:
    result = judge("burnish", "presidio-research", presidio_research(), in_characters, [kind])[0]
    assert result.values >= 27
    assert result.recall >= 0.97
    assert result.precision is not None
    assert result.precision >= 0.95


def test_secrets_of_many_formats_are_found() -> None:
    result = judge("burnish", "secrets", secrets(300), in_characters, ["secret"])[0]
    assert result.recall >= 0.98


def test_run_records_keep_their_decoys() -> None:
    assert [line for line in decoy_lines(2_000) if found(line)] == []
    for result in judge(
        "burnish", "run records", run_texts(300), in_characters, ["ssn", "email", "card", "iban", "ip"]
    ):
        assert result.recall >= 0.97
        assert result.precision == 1.0


def test_only_the_kinds_asked_for_are_looked_for() -> None:
    assert found("a@example.com 203.0.113.77", frozenset({"ip"})) == [("ip", "203.0.113.77")]


def test_what_overlaps_becomes_one_finding_of_the_graver_kind() -> None:
    assert found("login admin:hunter2@db.example.com ok") == [("secret", "hunter2@db.example.com")]


def test_a_pattern_of_ones_own_is_a_kind_of_its_own() -> None:
    rule = Custom("order", compiled(rb"ORD-[0-9]{8}"))
    hits = scanner().find(b"see ORD-12345678", kinds=EVERY, custom=[rule])
    assert [(hit.kind, hit.start, hit.end) for hit in hits] == [("order", 4, 16)]


@given(st.text())
def test_findings_lie_inside_any_text_in_order_and_on_whole_characters(text: str) -> None:
    data = text.encode("utf-8", "surrogatepass")
    end = 0
    for item in scanner().find(data, kinds=EVERY):
        assert end <= item.start < item.end <= len(data)
        data[item.start : item.end].decode("utf-8", "surrogatepass")
        end = item.end


@pytest.mark.parametrize("piece", HOSTILE)
def test_a_hostile_megabyte_costs_about_sixteen_times_its_sixteenth(piece: str) -> None:
    def spent(size: int) -> float:
        data = (piece * (size // len(piece) + 1))[:size].encode()
        began = time.process_time()
        scanner().find(data, kinds=EVERY)
        return time.process_time() - began

    spent(65_536)
    assert spent(1_048_576) <= 40 * max(spent(65_536), 0.005)


class Blind(Scanner):
    """Does not see one kind."""

    def __init__(self, kind: str) -> None:
        self._without = EVERY - {kind}

    def find(self, data: bytes, **_: object) -> list[Finding]:
        """Find the other kinds."""
        return scanner().find(data, kinds=self._without)


@pytest.mark.parametrize("kind", KINDS)
def test_the_self_test_fails_when_a_kind_is_not_found(kind: str) -> None:
    selftest.check(scanner())
    with pytest.raises(RedactionFailed, match=f"sample of {kind}"):
        selftest.check(Blind(kind))
