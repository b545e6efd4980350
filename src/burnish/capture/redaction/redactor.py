"""Replace personal data and secrets in a whole bundle: the one function that stands before store and spool.

Most bundles hold none. So all texts of a bundle are joined and scanned once; only when something is found is each field
looked at by itself. Whatever goes wrong, no text leaves as it came.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from burnish.capture.records import Bundle
from burnish.capture.redaction import selftest
from burnish.capture.redaction.fields import Field, described, fields, is_ours, plan, records
from burnish.capture.redaction.policy import Policy
from burnish.capture.redaction.pseudonyms import KEY_BYTES, Pseudonyms, read_key
from burnish.capture.redaction.scanner import FAILED, Finding, Scanner, scanner
from burnish.errors import RedactionFailed
from burnish.govern.configuration import Configuration

LabelT = TypeVar("LabelT")
ROUNDS = 8
"""Most times that a text is scanned again after something in it was replaced."""
MOST_KNOWN = 20_000
_BETWEEN = b"\n\0\n"
_SHORT = 200
_SAFE_LABEL = re.compile(r"(?:[A-Za-z_./: -]|\d{1,8}(?!\d)){1,64}")


class Redactor:
    """Replaces by each tenant's policy, under the secret of one store. Safe to use from any thread and after a fork."""

    def __init__(
        self, key: Path, *, configuration: Callable[[], Configuration], problem: Callable[[str, str], None]
    ) -> None:
        self._key_file = key
        self._configuration = configuration
        self._problem = problem
        self._scanner: Scanner | None = None
        self._pseudonyms: Pseudonyms | None = None
        self._broken: RedactionFailed | None = None
        self._seen: Configuration | None = None
        self._policies: dict[str, Policy] = {}
        self._known: dict[str, set[str]] = {}

    def prepare(self) -> None:
        """Compile the rules, read the secret and run the self-test.

        Raises:
            RedactionFailed: One of them failed. Until the process is started anew, no text is captured.
        """
        if self._scanner is not None:
            return
        try:
            if self._broken is not None:
                raise self._broken  # noqa: TRY301 - it stays broken
            found = scanner()
            selftest.check(found)
            self._pseudonyms = Pseudonyms(self._key())
            self._scanner = found
        except Exception as error:  # noqa: BLE001 - whatever failed, it is raised as one error
            if self._broken is None:
                self._broken = error if isinstance(error, RedactionFailed) else RedactionFailed(str(error))
            raise self._broken from None

    def _key(self) -> bytes:
        """Return the secret; where the folder cannot be written, one that ends with the process."""
        try:
            return read_key(self._key_file)
        except OSError as error:
            self._problem(
                "redaction", f"pseudonyms will not be the same after a restart, their key is not kept: {error}"
            )
            return secrets.token_bytes(KEY_BYTES)

    def bundle(self, bundle: Bundle) -> Bundle:
        """Return the bundle with everything that its tenants' policies name replaced. Never raises."""
        try:
            self.prepare()
            return self._bundle(bundle)
        except Exception as error:  # noqa: BLE001 - fails closed, whatever failed
            self._problem("redaction", f"{error}; the text of one bundle was dropped")
            return _blanked(bundle)

    def text(self, text: str, tenant: str) -> str:
        """Return one text with everything that the tenant's policy names replaced. Never raises."""
        try:
            self.prepare()
            policy = self._policy(tenant)
            return self.replaced(text, policy, tenant) if policy.enabled else text
        except Exception as error:  # noqa: BLE001 - fails closed, whatever failed
            self._problem("redaction", f"{error}; a text was dropped")
            return FAILED

    def label(self, label: LabelT, tenant: object) -> LabelT | str:
        """Return a label as it will stand in the store, so that what is asked by it is found; cheap once seen.

        What is not text is returned as it is, to be refused where labels are checked.
        """
        if not isinstance(label, str) or not isinstance(tenant, str) or label in self._known.get(tenant, ()):
            return label
        clean = self.text(label, tenant)
        return label if clean == FAILED and _SAFE_LABEL.fullmatch(label) else clean

    def findings(self, text: str, tenant: str) -> list[Finding]:
        """Return what would be replaced in a text, in bytes of its UTF-8.

        Raises:
            RedactionFailed: Redaction does not work.
        """
        self.prepare()
        return self._found(_encoded(text), self._policy(tenant))

    # -- policies -----------------------------------------------------------------------------------------------------

    def _policy(self, tenant: str) -> Policy:
        configuration = self._configuration()
        if configuration is not self._seen:
            self._policies, self._known, self._seen = {}, {}, configuration
        policy = self._policies.get(tenant)
        if policy is None:
            policy = self._policies[tenant] = Policy.of(configuration, tenant)
        return policy

    # -- texts --------------------------------------------------------------------------------------------------------

    def _found(self, data: bytes, policy: Policy) -> list[Finding]:
        if self._scanner is None:
            raise RedactionFailed("it is not prepared")
        allows = policy.allows if policy.values else None
        return self._scanner.find(data, kinds=policy.kinds, custom=policy.custom, allows=allows)

    def replaced(self, text: str, policy: Policy, tenant: str, context: str = "") -> str:
        """Return the text with findings replaced until nothing more is found; `context` stands before it, unchanged.

        Raises:
            RedactionFailed: Something is still found after eight rounds.
        """
        ahead, data = _encoded(context), _encoded(text)
        for _ in range(ROUNDS):
            found = [f for f in self._found(ahead + data, policy) if f.end > len(ahead)]
            if not found:
                return data.decode("utf-8", "surrogatepass")
            data = self._marked(data, found, len(ahead), tenant)
        raise RedactionFailed(f"after {ROUNDS} rounds a text still held something to replace")

    def _marked(self, data: bytes, found: Sequence[Finding], offset: int, tenant: str) -> bytes:
        if self._pseudonyms is None:
            raise RedactionFailed("it is not prepared")
        parts, position = [], 0
        for finding in found:
            start, end = max(0, finding.start - offset), finding.end - offset
            parts += [data[position:start], self._pseudonyms.mark(tenant, finding.kind, data[start:end])]
            position = end
        return b"".join([*parts, data[position:]])

    # -- bundles ------------------------------------------------------------------------------------------------------

    def _bundle(self, bundle: Bundle) -> Bundle:
        everything: list[Any] = [record for _, record in records(bundle)]
        tenants = {record.tenant for record in everything}
        policies = {tenant: self._policy(tenant) for tenant in tenants}
        marked = {
            tenant: self._marked_texts([r for r in everything if r.tenant == tenant], tenant, policy)
            for tenant, policy in policies.items()
        }
        if not any(marked.values()):
            return bundle
        return _rebuilt(bundle, lambda record: self._record(record, policies, marked))

    def _marked_texts(self, everything: Sequence[msgspec.Struct], tenant: str, policy: Policy) -> set[str]:
        """Return those texts of a tenant's records in which something was found, in one scan of all of them."""
        known = self._known.setdefault(tenant, set())
        texts: list[str] = []
        labels: list[str] = []
        for record in everything if policy.enabled else ():
            reading = plan(type(record))
            labels += [label for label in reading.labels(record) if label and label not in known]  # type: ignore[misc]
            texts += [text for text in reading.texts(record) if text]  # type: ignore[misc]  # the plan read texts
            for field in reading.nested:
                value = getattr(record, field.name)
                if field.name == "candidates":  # their names are ours; there are many, so they are read in one go
                    labels += [v for option in value for v in option.values() if v.__class__ is str and v not in known]
                elif value:
                    _collect(value, labels if field.label else texts, known)
        labels = [label for label in labels if not is_ours(label)]
        if not texts and not labels:
            return set()
        marked = self._scanned([*texts, *labels], policy)
        if len(known) > MOST_KNOWN:
            known.clear()
        known.update(label for label in labels if len(label) <= _SHORT and label not in marked)
        return marked

    def _scanned(self, texts: list[str], policy: Policy) -> set[str]:
        pieces = [_encoded(text) for text in texts]
        found = self._found(_BETWEEN.join(pieces), policy)
        if not found:
            return set()
        marked: set[str] = set()
        start = position = 0
        for text, piece in zip(texts, pieces, strict=True):
            end = start + len(piece)
            while position < len(found) and found[position].end <= start:
                position += 1
            if position < len(found) and found[position].start < end:
                marked.add(text)
            start = end + len(_BETWEEN)
        return marked

    def _record(
        self, record: msgspec.Struct, policies: Mapping[str, Policy], marked: Mapping[str, set[str]]
    ) -> msgspec.Struct:
        tenant = str(getattr(record, "tenant", ""))
        replace = _Replace(self, policies[tenant], tenant, marked[tenant])
        changed = {}
        for field in fields(type(record)):
            before = getattr(record, field.name)
            after = replace.value(before) if before else before
            if after != before:
                changed[field.name] = after[: field.limit] if isinstance(after, str) else after
        return msgspec.structs.replace(record, **changed) if changed else record


class _Replace:
    """Replaces in the values of one tenant's records; looks only at texts in which something was found."""

    def __init__(self, redactor: Redactor, policy: Policy, tenant: str, marked: set[str]) -> None:
        self._redactor, self._policy, self._tenant, self._marked = redactor, policy, tenant, marked

    def value(self, value: object) -> object:
        if isinstance(value, str):
            # An id that reads like a bank account is still an id, also where it stands as the unit of a trial.
            return self._text(value) if value in self._marked and not is_ours(value) else value
        if isinstance(value, dict):
            return dict(self._fact(name, item) for name, item in value.items())
        if isinstance(value, (list, tuple)):
            return type(value)(self.value(item) for item in value)
        return value

    def _text(self, text: str, context: str = "") -> str:
        return self._redactor.replaced(text, self._policy, self._tenant, context)

    def _fact(self, name: str, value: object) -> tuple[str, object]:
        whole = described(name, value)
        if whole is None:
            return str(self.value(name)), self.value(value)
        if whole not in self._marked:
            return name, value
        text = whole[len(name) + 2 :]
        replaced = self._text(text, context=f"{name}: ")
        return self._text(name), value if replaced == text else replaced


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _collect(value: object, into: list[str], known: set[str]) -> None:
    """Add the texts of a value that are not known to be clean."""
    if isinstance(value, str):
        if value not in known and not is_ours(value):
            into.append(value)
    elif isinstance(value, dict):
        _collect_facts(value, into, known)
    elif isinstance(value, (list, tuple)):
        for item in value:
            _collect(item, into, known)


def _collect_facts(facts: Mapping[str, object], into: list[str], known: set[str]) -> None:
    into += [name for name in facts if name not in known]
    for name, item in facts.items():
        if item is None or (item.__class__ is float and -1e6 < item < 1e6):
            continue
        whole = described(name, item)
        if whole is None:
            _collect(item, into, known)
        elif whole not in known:
            into.append(whole)


def _rebuilt(bundle: Bundle, change: Callable[[msgspec.Struct], object]) -> Bundle:
    parts: dict[str, Any] = {}
    for part, record in records(bundle):
        changed = change(record)
        if part in {"run", "conversation"}:
            parts[part] = changed
        else:
            parts.setdefault(part, []).append(changed)
    return msgspec.structs.replace(bundle, **parts)


def _blanked(bundle: Bundle) -> Bundle:
    """Return the bundle without any text but plain labels: numbers, times and ids are kept."""

    def blank(record: msgspec.Struct) -> msgspec.Struct:
        emptied = {field.name: _blank(getattr(record, field.name), field) for field in fields(type(record))}
        return msgspec.structs.replace(record, **emptied)

    return _rebuilt(bundle, blank)


def _blank(value: object, field: Field) -> object:
    if isinstance(value, str) and value:
        keep = is_ours(value) if field.reference else field.label and _SAFE_LABEL.fullmatch(value) is not None
        return value if keep else FAILED
    if isinstance(value, dict):
        return {name: _blank(item, field) for name, item in value.items()} if field.label else {}
    if isinstance(value, (list, tuple)):
        return type(value)(_blank(item, field) for item in value)
    return value
