"""Phone numbers taken out of what goes into a log."""

from __future__ import annotations

import re

_NUMBER = re.compile(r"(?<![\w-])(?:\+|%2B)?\(?\d[\d() .-]{5,}\d(?![\w-])", re.IGNORECASE)
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


def redact(text: str) -> str:
    """The text with what may be a phone number, in whatever way it is written, as `…`; dates stay."""
    return _NUMBER.sub(lambda found: found.group() if _DATE.match(found.group()) else "…", text)
