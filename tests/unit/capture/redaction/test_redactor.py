"""Replacing: stable names, nothing twice, nothing left on failure, each tenant's policy."""

from __future__ import annotations

import stat
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from burnish.capture.records import AssignmentRecord, Bundle, CallRecord, DecisionRecord, RunRecord, SignalRecord
from burnish.capture.redaction.pseudonyms import Pseudonyms, read_key
from burnish.capture.redaction.redactor import Redactor
from burnish.capture.redaction.scanner import FAILED
from burnish.errors import RedactionFailed
from burnish.govern.configuration import Configuration

NOW = datetime(2026, 11, 24, tzinfo=UTC)
RUN_ID = "0192f3a4-7b1c-7def-8a90-1234567890ab"
PIECES = (
    *(
        "bob@example.com",
        "+44 20 7946 0958",
        "4111 1111 1111 1111",
        "536-22-8145",
        "203.0.113.77",
        "password=",
        '"',
        "'",
    ),
    *(
        "DE89 3704 0044 0532 0130 00",
        "token: ",
        "abc123XYZ789defg",
        " ",
        "\n",
        ":",
        "@",
        "/",
        "://",
        "-",
        ".",
        "x",
        "12",
    ),
    *(
        "555",
        "0490 39 07 81",
        "call ",
        "é",
        "😀",
        "<",
        ">",
        "<email:kdfmrtbnqs>",
        "-----BEGIN RSA PRIVATE KEY-----",
        "\\",
    ),
    *("KEY-----", "bearer ", "sk-", "::", "fe80", "=", ",", "1234567", "(", ")", "Authorization: Basic ", FAILED),
)
Make = Callable[..., Redactor]


@pytest.fixture(scope="session")
def make(tmp_path_factory: pytest.TempPathFactory) -> Make:
    folder = tmp_path_factory.mktemp("redaction")

    def made(tenant: str = "t", home: Path = folder, problems: list[str] | None = None, **keys: object) -> Redactor:
        configuration = Configuration({(f"redact.{k}", (tenant, "", "")): value for k, value in keys.items()})
        kept = [] if problems is None else problems
        return Redactor(
            home / "redaction.key", configuration=lambda: configuration, problem=lambda _, text: kept.append(text)
        )

    return made


def run(**values: object) -> RunRecord:
    return RunRecord(
        **{  # type: ignore[arg-type]  # values of a test
            "id": RUN_ID,
            "created_at": NOW,
            "tenant": "t",
            "agent": "a",
            "root_id": RUN_ID,
            "task_type": "x",
            "started_at": NOW,
            "duration_s": 1.0,
            "process_id": "p",
            **values,
        }
    )


def test_the_same_value_has_the_same_name_however_it_is_written(make: Make) -> None:
    redactor = make()
    one, other = redactor.text("bob@example.com", "t"), redactor.text("BOB@Example.com", "t")
    assert one == other != redactor.text("eve@example.com", "t")
    assert redactor.text("4111 1111 1111 1111", "t") == redactor.text("4111111111111111", "t")
    assert one.startswith("<email:")


def test_another_tenant_and_another_store_give_other_names(make: Make, tmp_path: Path) -> None:
    here, elsewhere = make(), make(home=tmp_path)
    names = {
        here.text("bob@example.com", "t"),
        here.text("bob@example.com", "u"),
        elsewhere.text("bob@example.com", "t"),
    }
    assert len(names) == 3


def test_a_restart_keeps_the_names(make: Make, tmp_path: Path) -> None:
    assert make(home=tmp_path).text("bob@example.com", "t") == make(home=tmp_path).text("bob@example.com", "t")


def test_the_key_is_for_its_owner_alone_and_one_for_all_who_ask_at_once(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "redaction.key"
    keys: list[bytes] = []
    threads = [threading.Thread(target=lambda: keys.append(read_key(path))) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(keys) == 16
    assert len(set(keys)) == 1
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in path.parent.iterdir()] == ["redaction.key"]
    path.chmod(0o644)
    read_key(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_name_cannot_be_made_without_the_key() -> None:
    assert Pseudonyms(b"a" * 32).mark("t", "email", b"x") != Pseudonyms(b"b" * 32).mark("t", "email", b"x")


def test_a_damaged_key_stops_capture_of_text(make: Make, tmp_path: Path) -> None:
    (tmp_path / "redaction.key").write_bytes(b"short")
    problems: list[str] = []
    redactor = make(home=tmp_path, problems=problems)
    with pytest.raises(RedactionFailed, match="holds 5 bytes, not 32"):
        redactor.prepare()
    assert redactor.text("harmless", "t") == FAILED
    assert "holds 5 bytes" in problems[-1]


@given(st.lists(st.sampled_from(PIECES) | st.text(max_size=8), max_size=14))
def test_redacting_twice_changes_nothing_more(make: Make, pieces: list[str]) -> None:
    redactor = make()
    once = redactor.text("".join(pieces), "t")
    assert redactor.text(once, "t") == once


@given(st.lists(st.sampled_from(PIECES) | st.text(max_size=8), max_size=10), st.sampled_from(PIECES))
def test_a_bundle_is_redacted_as_each_of_its_texts_would_be(make: Make, pieces: list[str], label: str) -> None:
    redactor = make()
    text = "".join(pieces)
    after = redactor.bundle(Bundle(run=run(task="clean", output=text, error=text[::-1], project=label or "p"))).run
    assert after is not None
    assert after.output == redactor.text(text, "t")
    assert after.error == redactor.text(text[::-1], "t")


def test_a_clean_bundle_is_returned_as_it_is(make: Make) -> None:
    bundle = Bundle(run=run(task="cancel order 123", features={"lang": "py", "n": 3}))
    assert make().bundle(bundle) is bundle


def test_an_id_that_reads_like_a_bank_account_stays(make: Make) -> None:
    identity = "0195557a-0e66-7000-be76-b4b03282a6d5"
    assert "iban" in make().text(identity, "t")
    assigned = AssignmentRecord(
        id=identity,
        created_at=NOW,
        tenant="t",
        deployment=RUN_ID,
        run_id=identity,
        unit=identity,
        task_type="x",
        arm=0,
        probabilities=(0.9, 0.1),
    )
    bundle = Bundle(run=run(id=identity, root_id=identity), assignments=[assigned])
    assert make().bundle(bundle) == bundle


def test_facts_are_read_with_their_names(make: Make) -> None:
    facts = {"password": "swordfish!", "card": 4111111111111111, "n": 4096, "ssn": "536228145", "bob@example.com": 1}
    after = make().bundle(Bundle(run=run(extra=facts))).run
    assert after is not None
    values = list(after.extra.values())
    assert str(values[0]).startswith("<secret:")
    assert str(values[1]).startswith("<card:")
    assert values[2] == 4096
    assert str(values[3]).startswith("<ssn:")
    assert list(after.extra)[4].startswith("<email:")


def test_a_longer_text_still_fits_its_column(make: Make) -> None:
    after = make().bundle(Bundle(run=run(tier="a@b.co " * 14))).run
    assert after is not None
    assert after.tier is not None
    assert len(after.tier) == 100
    assert "a@b.co" not in after.tier


def test_allowed_values_and_domains_stay(make: Make) -> None:
    redactor = make(allow=["help@example.com", "example.org", "203.0.113.77"])
    text = "help@example.com bob@mail.example.org eve@example.com 203.0.113.77"
    assert redactor.text(text, "t") == text.replace("eve@example.com", redactor.text("eve@example.com", "t"))


def test_a_tenant_may_choose_kinds_add_patterns_and_turn_it_off(make: Make) -> None:
    assert make(kinds=["ip"]).text("bob@example.com", "t") == "bob@example.com"
    assert make(custom=[{"name": "order", "pattern": "ORD-[0-9]{8}"}]).text("ORD-12345678", "t").startswith("<order:")
    off = make(enabled=False)
    assert off.text("bob@example.com", "t") == "bob@example.com"
    assert off.text("bob@example.com", "another") != "bob@example.com"
    bundle = Bundle(run=run(task="bob@example.com"))
    assert off.bundle(bundle) is bundle


def test_each_record_goes_by_the_policy_of_its_tenant(make: Make) -> None:
    signals = [
        SignalRecord(id=RUN_ID, created_at=NOW, tenant=tenant, run_id=RUN_ID, name="comment", label="bob@example.com")
        for tenant in ("t", "another")
    ]
    after = make(enabled=False).bundle(Bundle(signals=signals)).signals
    assert after[0].label == "bob@example.com"
    assert after[1].label != "bob@example.com"


def test_whatever_fails_no_text_is_kept_and_it_is_said(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    problems: list[str] = []
    redactor = make(problems=problems)
    redactor.prepare()

    def fail(*_: object, **__: object) -> None:
        raise ValueError("broken")

    monkeypatch.setattr(redactor, "_scanner", type("Broken", (), {"find": staticmethod(fail)})())
    call = CallRecord(id=RUN_ID, created_at=NOW, tenant="t", run_id=RUN_ID, seq=0, attempt=0, error="my secret")
    decision = DecisionRecord(
        id=RUN_ID,
        created_at=NOW,
        tenant="t",
        run_id=RUN_ID,
        attempt=0,
        agent="a",
        task_type="x",
        rule="learned",
        reason="because",
        model="m",
        propensity=0.5,
        fallbacks=[],
        price_of_cost=0.1,
        candidates=[{"model": "m", "p": 0.5}],
        epoch=0,
    )
    before = run(task="my secret", output="my secret", extra={"a": "my secret"}, cost_usd=0.5, agent="bob@example.com")
    after = redactor.bundle(Bundle(run=before, calls=[call], decisions=[decision]))
    assert after.run is not None
    assert (after.run.task, after.run.output, after.run.extra, after.calls[0].error) == (FAILED, FAILED, {}, FAILED)
    assert (after.run.agent, after.run.task_type, after.run.cost_usd) == (FAILED, "x", 0.5)
    assert after.decisions[0].candidates == [{"model": "m", "p": 0.5}]
    assert (after.run.id, after.calls[0].run_id) == (RUN_ID, RUN_ID)
    assert redactor.text("my secret", "t") == FAILED
    assert len(problems) == 2
    assert "broken" in problems[0]
