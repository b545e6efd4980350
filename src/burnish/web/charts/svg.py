"""Write SVG elements: numbers rounded, text escaped, colours by tone."""

from __future__ import annotations

from collections.abc import Iterable

from markupsafe import Markup, escape

from burnish.errors import InvalidValue

TONES = ("ink", "grey", "faint", "accent", "good", "bad", "s1", "s2", "s3", "s4", "s5", "s6")
"""Ink and two greys, one accent, good and bad; s1 to s6 are a ramp for things of equal rank."""

TEXT = 12.0
"""Size of text in a chart, in CSS pixels."""

GLYPH = 0.58
"""Mean width of a character as a share of the size of its text; used to leave room, never to place exactly."""


def element(tag: str, *children: str | Markup, **attributes: str | float | None) -> Markup:
    """Return an element. Children that are not markup are escaped; `_` in a name stands for `-`, None is left out."""
    written = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{escape(_value(value))}"'
        for name, value in attributes.items()
        if value is not None
    )
    inside = Markup("").join(children)
    whole = f"<{tag}{written}>{inside}</{tag}>" if inside else f"<{tag}{written}/>"
    return Markup(whole)  # noqa: S704 - every value and every child was escaped just above


def drawing(title: str, desc: str, width: float, height: float, parts: Iterable[Markup], kind: str) -> Markup:
    """Return a whole chart: an image with a title and a description."""
    return element(
        "svg",
        element("title", title),
        element("desc", desc),
        *parts,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {_value(width)} {_value(height)}",
        width=width,
        height=height,
        role="img",
        class_=f"chart chart-{kind}",
    )


def label(text: str, x: float, y: float, *, room: float | None = None, tone: str = "grey", at: str = "start") -> Markup:
    """Return text anchored at its start, middle or end; shortened to `room` pixels, with the whole in a tooltip."""
    shown = text if room is None else shorten(text, room)
    whole = (element("title", text),) if shown != text else ()
    return element(
        "text", *whole, shown, x=x, y=y, text_anchor=None if at == "start" else at, class_=toned("label", tone)
    )


def shorten(text: str, room: float) -> str:
    """Return text cut to about `room` pixels."""
    fits = max(2, int(room / (TEXT * GLYPH)))
    return text if len(text) <= fits else text[: fits - 1].rstrip() + "…"


def room_for(texts: Iterable[str], most: float) -> float:
    """Return the pixels that the longest text needs, at most `most`."""
    return min(most, max((len(text) for text in texts), default=0) * TEXT * GLYPH)


def toned(kind: str, tone: str) -> str:
    """Return the classes of a mark.

    Raises:
        InvalidValue: There is no such tone.
    """
    if tone not in TONES:
        raise InvalidValue("tone", tone, f"give one of {', '.join(TONES)}")
    return f"{kind} t-{tone}"


def path(points: Iterable[tuple[float, float]], *, close: bool = False) -> str:
    """Return path data through the points."""
    steps = " L".join(f"{_value(x)} {_value(y)}" for x, y in points)
    return f"M{steps}{' Z' if close else ''}"


def _value(value: str | float) -> str:
    """Return a number with at most two decimals."""
    if isinstance(value, str):
        return value
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text
