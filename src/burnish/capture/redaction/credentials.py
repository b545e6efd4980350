"""Find secrets by what stands before them: a name such as `password=`, a scheme, a header, a sentence.

They complement the rules of providers: what is secret because somebody says so, in any format.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import msgspec

from burnish.capture.redaction.patterns import Match, Pattern, Span, after, compiled
from burnish.capture.redaction.secrets import entropy

_QUOTE = rb"\\{0,3}[\"'\x60]"
_VALUE = rb"(?:" + _QUOTE + rb"([^\"'\x60\n\x00\\]{3,300})|([^\s\"'\x60,;&<>\x00\\]{4,300}))"
_GIVES = rb"(?:" + _QUOTE + rb")?[\])]?[ \t]{0,4}(=>|:=|={1,2}|:|>|[ \t]is:?|[ \t]was:?)[ \t]{0,4}"
PASSWORD = (
    rb"(?i)(?:password|passwd|passphrase|passcode|passwort|mot de passe|contrase\xc3\xb1a|"
    rb"pswd|pwd|\bpw|_pass|\bpass|secret)" + _GIVES + _VALUE
)
KEY = (
    rb"(?i)(?:api[ _.-]?key|apikey|access[ _.-]?key(?:[ _.-]?id)?|secret[ _.-]?key|private[ _.-]?key|auth[ _.-]?key|"
    rb"encryption[ _.-]?key|signing[ _.-]?key|account[ _.-]?key|client[ _.-]?secret|webhook[ _.-]?secret|token|"
    rb"credentials?|x-api-key|authorization|signature|\bsig|session[ _.-]?id|sessionid|cookie|\bkey|[_-]key)"
    + _GIVES
    + _VALUE
)
FLAG = rb"(?i)--?(?:password|passwd|pass|token|secret|api-?key|access-?key|auth-?token)[ =]" + _VALUE
AUTHORIZATION = (
    rb"(?i)(?:authorization[\"']?[ \t]{0,3}[:=][ \t]{0,3}[\"']?(?:basic|bearer|token|apikey|digest)|\bbearer)[ \t]{1,3}"
    rb"([A-Za-z0-9._~+/=|:-]{8,})"
)
URL_PASSWORD = rb"(?i)\b[a-z][a-z0-9+.-]{1,20}://[^\s:/?#@\"'<>\x00]{0,100}:([^\s/@\"'<>\x00]{1,300})@"
LOGIN = rb"\b([A-Za-z][\w.+-]{1,63}):([^\s:@/\"'<>,;()\x00]{4,128})@[A-Za-z0-9][A-Za-z0-9.-]{1,100}"
BOT = rb"\b\d{8,10}:AA[A-Za-z0-9_-]{32,34}"
DISCORD = rb"\b[MNO][A-Za-z\d_-]{23,27}\.[\w-]{6}\.[\w-]{27,40}"
PREFIXED = (
    rb"\b(?:sk|pk|rk|ak|whsec|gsk|xai|pplx|tvly|fw|nvapi|r8|hf|lsv2|dop_v1|glpat|npm|pypi|AKIA|ASIA|AIza|ya29\.|"
    rb"gh[pousr]|github_pat|xox[abeoprs]|shp(?:at|ca|pa|ss)|SG\.|key|secret|token)[-_.]?[A-Za-z0-9_-]{16,300}"
)
BLOCK = rb"-----BEGIN [A-Z0-9 ]{0,60}(?:PRIVATE KEY|KEY BLOCK)[A-Z ]{0,20}-----[A-Za-z0-9+/=\s\\:,.-]*"

_WORD = re.compile(r"[a-z-]+")
_STOP = frozenset(
    _WORD.findall("""
    password passwd passphrase passcode secret token string str bytes text none null nil true false required optional
    missing invalid incorrect wrong expired changed change reset hidden redacted masked empty blank unset undefined
    failed failure protected field input value here your yours their the and was is not must should cannot can has
    have may will need needs needed used valid verified accepted rejected unknown default example sample placeholder
    changeme secretstr object number boolean varchar char type prompt authentication manager policy hash hashed
    encrypted generated stored sent correct mismatch match matched weak strong too ok yes no
    """)
)
"""What stands behind `password:` in code and in prose without being one."""
_NAME = re.compile(rb"[A-Za-z_$][\w$]*(?:(?:\.|::|->)[A-Za-z_$][\w$]*)+[\[(.]?.*", re.DOTALL)
_PLACE = re.compile(rb"[\[(]?(?:[$%{<@*.#_-]|x{3,}|X{3,}|\.\.\.)")
_UUID = re.compile(rb"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_HEX = re.compile(rb"[0-9a-f]{32}|[0-9a-f]{40}|[0-9a-f]{64}|[0-9a-f]{7,12}")
_PLAIN_KEY = re.compile(rb"(?i)^.?(?:key|session|sig\b|signature|cookie)")
_ADDRESSES = frozenset(
    _WORD.findall("mailto mail email e-mail sip sips xmpp acct from to cc bcc reply-to contact user author")
)


def _groups(match: Match) -> tuple[Span, bool]:
    quoted, bare = match.span(2), match.span(3)
    return (quoted, True) if quoted[0] >= 0 else (bare, False)


def _is_placeholder(value: bytes) -> bool:
    lowered = value.lower().strip(b".!?)]}").decode("latin-1")
    return lowered in _STOP or _PLACE.match(value) is not None or len(set(value)) < 3


def _passwords(data: bytes, match: Match) -> Span | None:
    (start, end), quoted = _groups(match)
    value, gives = data[start:end], match.group(1).strip()
    if _is_placeholder(value) or (not quoted and (_NAME.fullmatch(value) or b"(" in value)):
        return None
    if quoted or not value.rstrip(b".!?").isalpha():
        letters = any(byte > 57 for byte in value)
        is_word = match.group()[:4].lower() == b"pass" and match.group()[4:5].lower() != b"w"
        return (start, end) if letters or not is_word else None
    ends_line = after(data, end) in b"\n\r\x00" or end == len(data)
    return (start, end) if gives in {b"=", b"==", b":=", b"=>", b">"} or (gives == b":" and ends_line) else None


def _keys(data: bytes, match: Match) -> Span | None:
    (start, end), _ = _groups(match)
    value = data[start:end].rstrip(b".!?)]}")
    end = start + len(value)
    if len(value) < 10 or _is_placeholder(value) or b" " in value or b"(" in value or not _is_mixed(value):
        return None
    if _PLAIN_KEY.match(match.group()) and (_UUID.fullmatch(value) or _HEX.fullmatch(value) or _is_slug(value)):
        return None
    return (start, end) if entropy(value) >= 3.0 and not _NAME.fullmatch(value) else None


def _is_mixed(value: bytes) -> bool:
    return any(48 <= byte <= 57 for byte in value) and any(byte > 57 for byte in value)


def _is_slug(value: bytes) -> bool:
    """Tell whether a value reads as words and numbers joined: `orders-2026-11`, `user_42_name`."""
    return all(part.isalpha() or part.isdigit() for part in re.split(rb"[-_./:]", value) if part)


def _flags(data: bytes, match: Match) -> Span | None:
    start, end = match.span(1) if match.span(1)[0] >= 0 else match.span(2)
    value = data[start:end]
    return None if _is_placeholder(value) or value[:1] == b"-" else (start, end)


def _credentials(data: bytes, match: Match) -> Span | None:
    start, end = match.span(1)
    value = data[start:end].rstrip(b".:")
    good = len(value) >= 20 or _is_mixed(value)
    return (start, start + len(value)) if good and not _is_placeholder(value) else None


def _url_passwords(data: bytes, match: Match) -> Span | None:
    start, end = match.span(1)
    return None if _PLACE.match(data[start:end]) else (start, end)


def _logins(data: bytes, match: Match) -> Span | None:
    start, end = match.span(2)
    value = data[start:end]
    name = match.group(1).decode("latin-1").lower()
    odd = any(byte < 65 and byte not in b".-+" for byte in value) or b"!" in value
    return (start, end) if odd and name not in _ADDRESSES and not value.isdigit() and not _PLACE.match(value) else None


def _whole(data: bytes, match: Match) -> Span | None:  # noqa: ARG001 - the shape of every judge
    return match.span()


def _prefixed(data: bytes, match: Match) -> Span | None:
    start, end = match.span()
    value = data[start:end]
    named = value[:3].lower() in {b"key", b"sec", b"tok"}
    good = _is_mixed(value) and entropy(value) >= (3.8 if named else 3.2)
    return (start, end) if good and not _is_slug(value) and not _UUID.search(value) else None


Judge = Callable[[bytes, Match], Span | None]


class Credential(msgspec.Struct, frozen=True):
    """A pattern, the keywords it needs, and what decides about a match."""

    name: str
    keywords: tuple[str, ...]
    pattern: Pattern
    judge: Judge

    def find(self, data: bytes) -> Iterator[Span]:
        """Yield where secrets of this kind stand."""
        for match in self.pattern.finditer(data):
            span = self.judge(data, match)
            if span is not None:
                yield span


_WORDS = ("pass", "pwd", "pswd", "pw", "secret", "contrase", "mot de")
_KEYS = ("key", "token", "credential", "authorization", "secret", "sig", "session", "cookie")
_PREFIXES = (
    *(
        "sk-",
        "sk_",
        "pk-",
        "pk_",
        "rk_",
        "ak-",
        "ak_",
        "whsec",
        "gsk_",
        "xai-",
        "pplx-",
        "tvly-",
        "fw_",
        "nvapi-",
        "r8_",
    ),
    *(
        "hf_",
        "lsv2",
        "dop_v1",
        "glpat",
        "npm_",
        "pypi-",
        "akia",
        "asia",
        "aiza",
        "ya29.",
        "ghp_",
        "gho_",
        "ghu_",
        "ghs_",
    ),
    *("ghr_", "github_pat", "xox", "shp", "sg.", "key-", "key_", "secret-", "secret_", "token-", "token_"),
)
_RULES: tuple[tuple[str, tuple[str, ...], bytes, Judge], ...] = (
    ("password", _WORDS, PASSWORD, _passwords),
    ("named-key", _KEYS, KEY, _keys),
    ("flag", ("--", "-pass", "-token"), FLAG, _flags),
    ("authorization", ("authorization", "bearer"), AUTHORIZATION, _credentials),
    ("url-password", ("://",), URL_PASSWORD, _url_passwords),
    ("login", ("@",), LOGIN, _logins),
    ("bot-token", (":aa",), BOT, _whole),
    ("discord-token", ("discord", "token", "bot"), DISCORD, _prefixed),
    ("prefixed-key", _PREFIXES, PREFIXED, _prefixed),
    ("key-block", ("-----begin",), BLOCK, _whole),
)


def credentials() -> list[Credential]:
    """Return the rules, compiled."""
    return [Credential(name, keywords, compiled(pattern), judge) for name, keywords, pattern, judge in _RULES]
