"""Texts to measure redaction with: a labelled public set, and run records made here with decoys among them.

The formats of telephone numbers and of keys are written down from the numbering plans and the documentation of each
provider, not from the scanner's rules.
"""

from __future__ import annotations

import base64
import gzip
import json
import random
import string
import uuid
from collections.abc import Callable
from pathlib import Path

import msgspec

from burnish.capture.redaction.numbers import luhn

PRESIDIO = Path(__file__).parents[1] / "tests" / "data" / "presidio_research.jsonl.gz"
Span = tuple[str, int, int]

_PHONES = (
    *("+1 (415) ###-####", "(212) ###-####", "415-###-####", "415.###.####", "1-800-###-####", "+1-303-###-####"),
    *("+44 20 #### ####", "020 #### ####", "07### ######", "+44 7### ######", "0161 ### ####"),
    *("+49 30 #######", "030 #######", "+49 171 #######", "0171-#######", "+49 (0)89 ######"),
    *("+33 6 ## ## ## ##", "06 ## ## ## ##", "01.##.##.##.##", "+34 91# ### ###", "6## ### ###"),
    *("+39 06 #### ####", "3## #######", "+31 6 ########", "06-########", "+41 79 ### ## ##", "079 ### ## ##"),
    *("+46 70-### ## ##", "070-### ## ##", "+48 ### ### ###", "+81-3-####-####", "03-####-####", "090-####-####"),
    *("+86 138 #### ####", "138 #### ####", "+91 98### #####", "098### #####", "+55 11 9####-####", "(11) 9####-####"),
    *("+61 4## ### ###", "04## ### ###", "+27 82 ### ####", "082 ### ####", "+7 (916) ###-##-##", "+971 50 ### ####"),
)
_NAMED = (
    "Phone: {}",
    "call me at {}",
    "mobile {}",
    "tel. {}",
    "reach her on {}",
    "Fax {}",
    '"phone": "{}"',
    "contact {}",
)
_BARE = ("{}", "customer ({}) wrote", "signed, J. Doe, {}", "user_input={}", "She left {} with us")
_NAMES = ("alice", "bob.stone", "j-doe", "x_y", "maria.garcia+news", "o'neil", "wang2", "андрей", "k")
_DOMAINS = ("example.com", "mail.example.org", "acme.io", "sub.dept.example.co.uk", "müller.example.de", "shop.museum")
_IBANS = {
    "DE": "dddddddddddddddddd",
    "GB": "LLLLdddddddddddddd",
    "FR": "ddddddddddcccccccccccdd",
    "NL": "LLLLdddddddddd",
}
_ALNUM, _HEX = string.ascii_letters + string.digits, "0123456789abcdef"


class Labelled(msgspec.Struct, frozen=True):
    """A text, and where personal data stands in it, in characters."""

    text: str
    spans: list[Span]


def presidio_research() -> list[Labelled]:
    """Read the public set: see tests/data/NOTICE.md."""
    with gzip.open(PRESIDIO, "rt", encoding="utf-8") as lines:
        return [msgspec.convert(json.loads(line), Labelled) for line in lines]


def run_texts(count: int, seed: int = 11) -> list[Labelled]:
    """Make records as agents write them, each with one or two values of a kind and several decoys."""
    rng = random.Random(seed)
    return [_record(rng) for _ in range(count)]


def secrets(count: int, seed: int = 12) -> list[Labelled]:
    """Make lines with one secret each, the formats in turn."""
    rng = random.Random(seed)
    formats = list(_SECRETS)
    return [_secret_line(rng, formats[step % len(formats)]) for step in range(count)]


def decoy_lines(count: int, seed: int = 13) -> list[str]:
    """Make lines that hold nothing to redact, and much that looks like it."""
    rng = random.Random(seed)
    return [f"{rng.choice(_LEADS)} {decoy(rng)} {rng.choice(_TAILS)}" for _ in range(count)]


_LEADS = ("order", "commit", "took", "step", "value", "File main.py, line", "id", "offset", "batch", "sha256", "ticket")
_TAILS = ("done", "was slow", "failed", "in 12 ms", "(retry 3)", "ok", "for agent coder", "of 4096 tokens", "cached")


def decoy(rng: random.Random) -> str:
    """Return an identifier, a number or a time that is nobody's."""
    makers: tuple[Callable[[], str], ...] = (
        lambda: str(uuid.UUID(int=rng.getrandbits(128), version=4)),
        lambda: _some(rng, _HEX, 40),
        lambda: _some(rng, _HEX, 7),
        lambda: f"v{rng.randint(0, 9)}.{rng.randint(0, 40)}.{rng.randint(0, 40)}.{rng.randint(0, 40)}",
        lambda: f"{rng.random():.12f}",
        lambda: f"{rng.uniform(-1e6, 1e6):.4f}",
        lambda: f"2026-{rng.randint(1, 12):02d}-{rng.randint(1, 28):02d}T11:08:04.{rng.randint(0, 999999):06d}Z",
        lambda: f"2026-{rng.randint(1, 12):02d}-{rng.randint(1, 28):02d} 11:{rng.randint(0, 59):02d}",
        lambda: f"ORD-{rng.randint(10**7, 10**8 - 1)}",
        lambda: str(rng.randint(10**8, 10**10 - 1)),
        lambda: str(rng.randint(16 * 10**11, 18 * 10**11)),
        lambda: f"0x{_some(rng, _HEX, 12)}",
        lambda: ":".join(_some(rng, _HEX, 2) for _ in range(6)),
        lambda: f"127.0.0.1:{rng.randint(1024, 65535)}",
        lambda: f"std::map<int>::at{rng.randint(0, 99)}",
        lambda: f"$ {rng.randint(1, 999)},{rng.randint(100, 999)}.{rng.randint(10, 99)}",
        lambda: f"rows {rng.randint(100, 999)} {rng.randint(1000, 9999)} {rng.randint(10, 99)}",
        lambda: f"numpy=={rng.randint(1, 3)}.{rng.randint(0, 9)}.{rng.randint(0, 9)}",
        lambda: f"git@github.com:org/repo{rng.randint(1, 99)}.git",
        lambda: f"tokens={rng.randint(1, 99999)} key=orders-{rng.randint(1, 99)}",
        lambda: "chatcmpl-" + _some(rng, _ALNUM, 24),
    )
    return rng.choice(makers)()


def _some(rng: random.Random, letters: str, count: int) -> str:
    return "".join(rng.choice(letters) for _ in range(count))


def _record(rng: random.Random) -> Labelled:
    kind = rng.choice(list(_VALUES))
    pieces: list[tuple[str, str | None]] = []
    for _ in range(rng.randint(2, 4)):
        pieces.append((f"{rng.choice(_LEADS)} {decoy(rng)} {rng.choice(_TAILS)}\n", None))
        if rng.random() < 0.5:
            shape, value = _VALUES[kind](rng)
            head, _, tail = shape.partition("{}")
            pieces += [(head, None), (value, kind), (tail + rng.choice((". ", "\n", ", then ", "; ")), None)]
    return _joined(pieces)


def _joined(pieces: list[tuple[str, str | None]]) -> Labelled:
    text, spans = "", []
    for piece, kind in pieces:
        if kind is not None:
            spans.append((kind, len(text), len(text) + len(piece)))
        text += piece
    return Labelled(text, spans)


def _phone(rng: random.Random) -> tuple[str, str]:
    value = "".join(rng.choice("23456789") if c == "#" else c for c in rng.choice(_PHONES))
    return rng.choice(_NAMED if rng.random() < 0.7 else _BARE), value


def _card(rng: random.Random) -> tuple[str, str]:
    prefix, size = rng.choice((("4", 16), ("51", 16), ("2221", 16), ("37", 15), ("6011", 16), ("3530", 16)))
    body = prefix + _some(rng, string.digits, size - len(prefix) - 1)
    digits = next(body + last for last in string.digits if luhn(body + last))
    if rng.random() < 0.5:
        mark = rng.choice(" -")
        cut = (4, 10) if size == 15 else (4, 8, 12)
        digits = mark.join(digits[a:b] for a, b in zip((0, *cut), (*cut, size), strict=True))
    return rng.choice(("card {}", "paid with {}", '"pan": "{}"', "{} was declined")), digits


def _iban(rng: random.Random) -> tuple[str, str]:
    country, shape = rng.choice(list(_IBANS.items()))
    letters = {"d": string.digits, "L": string.ascii_uppercase, "c": string.ascii_uppercase + string.digits}
    body = "".join(rng.choice(letters[c]) for c in shape)
    number = int("".join(str(int(c, 36)) for c in body + country + "00"))
    value = f"{country}{98 - number % 97:02d}{body}"
    if rng.random() < 0.4:
        value = " ".join(value[k : k + 4] for k in range(0, len(value), 4))
    return rng.choice(("IBAN {}", "transfer to {}", '"account": "{}"')), value


def _ssn(rng: random.Random) -> tuple[str, str]:
    parts = f"{rng.randint(100, 665)}", f"{rng.randint(10, 99)}", f"{rng.randint(1000, 9999)}"
    if rng.random() < 0.15:
        return rng.choice(("SSN {}", "social security number {}", "ssn={}")), "".join(parts)
    return rng.choice(("SSN {}", "{}", "his number is {}")), "-".join(parts)


def _email(rng: random.Random) -> tuple[str, str]:
    return rng.choice(("mail {}", "<{}>", "{}", "from={}")), f"{rng.choice(_NAMES)}@{rng.choice(_DOMAINS)}"


def _ip(rng: random.Random) -> tuple[str, str]:
    if rng.random() < 0.3:
        groups = [f"{rng.randint(0x1000, 0xFFFF):x}" for _ in range(8)]
        return "client {}", ":".join(groups) if rng.random() < 0.5 else f"2001:db8::{groups[0]}"
    return rng.choice(("client {}", "http://{}/x", "peer={}")), ".".join(str(rng.randint(1, 254)) for _ in range(4))


_VALUES: dict[str, Callable[[random.Random], tuple[str, str]]] = {
    "phone": _phone,
    "card": _card,
    "iban": _iban,
    "ssn": _ssn,
    "email": _email,
    "ip": _ip,
}
_SECRETS: dict[str, Callable[[random.Random], str]] = {
    "aws key id": lambda r: "AKIA" + _some(r, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", 16),
    "github classic": lambda r: "ghp_" + _some(r, _ALNUM, 36),
    "github fine-grained": lambda r: "github_pat_" + _some(r, _ALNUM, 82),
    "gitlab": lambda r: "glpat-" + _some(r, _ALNUM, 20),
    "slack bot": lambda r: f"xoxb-{_some(r, '123456789', 12)}-{_some(r, '123456789', 12)}-{_some(r, _ALNUM, 24)}",
    "stripe": lambda r: "sk_live_" + _some(r, _ALNUM, 24),
    "openai project": lambda r: "sk-proj-" + _some(r, _ALNUM + "_-", 64) + "T3BlbkFJ" + _some(r, _ALNUM + "_-", 64),
    "openrouter": lambda r: "sk-or-v1-" + _some(r, _HEX, 64),
    "anthropic": lambda r: "sk-ant-api03-" + _some(r, _ALNUM + "_-", 93) + "AA",
    "google": lambda r: "AIza" + _some(r, _ALNUM + "_-", 35),
    "groq": lambda r: "gsk_" + _some(r, _ALNUM, 52),
    "hugging face": lambda r: "hf_" + _some(r, string.ascii_letters, 34),
    "npm": lambda r: "npm_" + _some(r, _ALNUM, 36),
    "pypi": lambda r: "pypi-AgEIcHlwaS5vcmc" + _some(r, _ALNUM + "_-", 80),
    "sendgrid": lambda r: f"SG.{_some(r, _ALNUM, 22)}.{_some(r, _ALNUM, 43)}",
    "telegram": lambda r: f"{_some(r, '123456789', 9)}:AA{_some(r, _ALNUM + '_-', 33)}",
    "json web token": lambda r: ".".join(
        (_b64(r, '{"alg":"HS256","typ":"JWT"}'), _b64(r, '{"sub":"1","iat":%d}'), _some(r, _ALNUM, 43))
    ),
    "digitalocean": lambda r: "dop_v1_" + _some(r, _HEX, 64),
}
_PLACES = (
    "key {} was refused",
    "export API_KEY={}",
    '{{"token": "{}"}}',
    "used {}, then failed",
    "Authorization: Bearer {}",
)
_WORDS: dict[str, tuple[Callable[[random.Random], str], str]] = {
    "password=": (lambda r: _some(r, string.ascii_lowercase, 5) + _some(r, string.digits, 3) + "!", "password={}"),
    "password in JSON": (lambda r: _some(r, _ALNUM, 10) + "7", '{{"password": "{}"}}'),
    "password said": (lambda r: _some(r, _ALNUM, 9) + "7$", "my password is {}"),
    "password in a URL": (lambda r: _some(r, _ALNUM, 12), "postgresql://app:{}@db.internal:5432/x"),
    "aws secret": (lambda r: _some(r, _ALNUM + "/+", 38) + "a1", "aws_secret_access_key = {}"),
    "private key": (
        lambda r: f"-----BEGIN RSA PRIVATE KEY-----\n{_some(r, _ALNUM, 64)}\n-----END RSA PRIVATE KEY-----",
        "{}",
    ),
}


def _b64(rng: random.Random, text: str) -> str:
    body = text % rng.randint(10**9, 2 * 10**9) if "%" in text else text
    return base64.urlsafe_b64encode(body.encode()).decode().rstrip("=")


def _secret_line(rng: random.Random, name: str) -> Labelled:
    if rng.random() < len(_WORDS) / (len(_WORDS) + len(_SECRETS)):
        make, place = _WORDS[rng.choice(list(_WORDS))]
        value = make(rng)
    else:
        value, place = _SECRETS[name](rng), rng.choice(_PLACES)
    head, _, tail = place.replace("{{", "\1").replace("}}", "\2").partition("{}")
    head, tail = (part.replace("\1", "{").replace("\2", "}") for part in (head, tail))
    return _joined([(head, None), (value, "secret"), (tail, None)])
