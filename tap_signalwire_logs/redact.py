"""What must not show in a log taken out of texts: phone numbers, credentials, control characters.

`install` does so for every log line of the process, whoever writes it.
"""

from __future__ import annotations

import json
import logging
import re
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Mapping
from numbers import Number
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, quote_plus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

HIDDEN_NUMBER = "…"
HIDDEN_SECRET = "[redacted]"  # noqa: S105 - it stands for one

MIN_DIGITS = 7
MIN_DIGITS_AFTER_PLUS = 5
MIN_SECRET = 4
"""Shorter texts are no secrets, and would be found everywhere."""

_SEPARATOR = r"""(?:
    [^\S\r\n]
  | [().\-/_~*\u00ad\u00b7\u061c\u200b-\u200f\u2010-\u2015\u2022\u202a-\u202e\u2043\u2060-\u2069\u2212\u2e3a\u2e3b]
  | [\u30fb\ufe58\ufe63\ufeff\uff08\uff09\uff0d\uff0e\uff0f]
  | %(?:20|2[89DEFdef]|C2%A0|E2%80%[89A][0-9A-F])
  | \\u(?:00a0|00ad|20[0-6][0-9a-f]|2212|ff0d)
  | &(?:nbsp|ensp|emsp|thinsp|shy|ndash|mdash|minus|\#[0-9]{2,5}|\#x[0-9a-f]{2,4});
)"""
_DATE = (
    r"(?:0001|1[89][0-9]{2}|2[01][0-9]{2}|9999)-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])(?!\d|-\d)"
    r"(?:[T\x20_][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:[.,][0-9]+)?)?(?!\d)(?:\x20?[+-][0-9]{2}:?[0-9]{2}(?!\d))?)?"
)
_BYTE = r"(?:25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])"
_PHONE = re.compile(
    rf"""(?P<kept>
        (?<=\(request\ )[\w.-]+(?=\))                                     # a request's ID, as the client names it
      | (?<![^\W_])(?=[0-9a-f])(?:
            [0-9a-f]{{8}}-(?:[0-9a-f]{{4}}-){{3}}[0-9a-f]{{12}}             # a UUID
          | (?=[0-9]*[a-f]+[0-9]+[a-f])(?![0-9a-f]*[0-9]{{10}})[0-9a-f]{{16,}}  # a hash, not a number between letters
          | 1-[0-9a-f]{{8}}-[0-9a-f]{{24}}                                # a trace's ID
          | 0x[0-9a-f]+
          | [0-9]{{8}}T[0-9]{{6}}(?:[.,][0-9]+)?Z?
        )(?![^\W_])
      | (?<![\d+])(?=[0-9])(?:
            {_DATE}
          | (?<!\.)(?:{_BYTE}\.){{3}}{_BYTE}(?![\d.\-])(?::[0-9]{{1,5}}(?!\d))?
          | (?<![.\-])(?:0\.[0-9]+|[1-9][0-9]?\.[0-9]{{1,6}})(?!\d|{_SEPARATOR}{{1,3}}\d)
        )
    )
    | (?=[\d(+\uff0b\ufe62%\\&])
      (?:(?P<plus>\+|\uff0b|\ufe62|%2B|\\u002b|&\#43;|&plus;){_SEPARATOR}{{0,3}})? \(?
      (?P<digits>\d(?:{_SEPARATOR}{{0,4}}(?!(?<!\d){_DATE})\d)+)
      (?:[\s,;]{{0,2}}(?:extension|ext|x|\#)[.:\s]{{0,2}}\d{{1,6}}(?!\d))?""",
    re.VERBOSE | re.IGNORECASE,
)
_FEW_DIGITS = re.compile(r"[^\d]*(?:\d[^\d]*){0,4}", re.DOTALL)
_NO_DIGIT = re.compile(rf"{_SEPARATOR}+", re.VERBOSE | re.IGNORECASE)
_CREDENTIALS = re.compile(
    r"""(?P<before>(?i:authorization)\\?["']?\s*(?:[:=]|%3[AaDd]|=>)\s*\\?["']?
                   (?:(?i:basic|bearer|token|digest)(?:[\s+]|%20)+)?)[^\s"'\\,;&<>]+
      | (?P<scheme>\b(?i:basic|bearer)(?:[\s+]|%20)+)(?!realm=)(?=[^\s"'\\<>]*[0-9A-Z=/])[A-Za-z0-9+/=._~%-]{6,}
      | (?P<address>(?<=[a-z0-9]://))[^/\s]+(?=@)""",
    re.VERBOSE,
)
_CONTROL = re.compile(
    r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    r"\ud800-\udfff\U000e0000-\U000e007f]|\n(?!- |  )"
)


def redact(text: str) -> str:
    """The text with what may be a phone number, in whatever way it is written, as `…`.

    Dates, IDs, addresses, decimals and counts of up to six digits stay.
    """
    return text if _FEW_DIGITS.fullmatch(text) else _PHONE.sub(_hide_phone, text)


def _hide_phone(found: re.Match[str]) -> str:
    if found["kept"] is not None:
        return found.group()
    digits = _NO_DIGIT.sub("", found["digits"])
    return HIDDEN_NUMBER if len(digits) >= (MIN_DIGITS_AFTER_PLUS if found["plus"] else MIN_DIGITS) else found.group()


def escape_controls(text: str) -> str:
    r"""The text with control characters as they are written in Python (`\x1b`), so that no terminal obeys them.

    A line break stays where the next line is indented or an item of a list: that can't pass for a line of the log.
    """
    return _CONTROL.sub(lambda found: found.group().encode("unicode_escape").decode(), text)


class Redactor:
    """Takes out of a text whatever must not show in a log.

    Args:
        secrets: Texts that are hidden in any form that a server may echo them: as they are, or encoded for a URL,
            JSON or a header.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._forms: set[str] = set()
        self._secrets: re.Pattern[str] | None = None
        self.add(secrets)

    def add(self, secrets: Iterable[str]) -> None:
        """Hide more secrets."""
        self._forms.update(form for secret in secrets if len(secret) >= MIN_SECRET for form in _forms(secret))
        if self._forms:
            longest_first = sorted(self._forms, key=len, reverse=True)
            self._secrets = re.compile("|".join(map(re.escape, longest_first)), re.IGNORECASE)

    def __call__(self, text: str) -> str:
        """The text without secrets, credentials, phone numbers and control characters."""
        if self._secrets:
            text = self._secrets.sub(HIDDEN_SECRET, text)
        text = _CREDENTIALS.sub(_hide_credentials, text)
        return escape_controls(redact(text))


def _hide_credentials(found: re.Match[str]) -> str:
    return f"{found['before'] or found['scheme'] or ''}{HIDDEN_SECRET}"


def _forms(secret: str) -> Iterable[str]:
    data = secret.encode(errors="surrogatepass")
    plain = [secret]
    for encoded in (b64encode(data).decode(), urlsafe_b64encode(data).decode()):
        plain += [encoded, encoded.rstrip("=")]
    for text in plain:
        yield text
        yield json.dumps(text)[1:-1]
        yield json.dumps(text, ensure_ascii=False)[1:-1]
        yield json.dumps(text)[1:-1].replace("/", "\\/")
        for escape in (quote, quote_plus):
            for safe in ("", "/", "/:"):
                escaped = escape(text, safe=safe, errors="replace")
                yield escaped


_redactor = Redactor()


def install(secrets: Iterable[str]) -> None:
    """Redact every log line that this process makes from now on, tracebacks too, whoever writes it.

    Args:
        secrets: As for `Redactor`; those of earlier calls stay hidden.
    """
    _redactor.add(secrets)
    make = logging.getLogRecordFactory()
    if not isinstance(make, _RedactedRecords):
        logging.setLogRecordFactory(_RedactedRecords(make, _redactor))


class _RedactedRecords:
    """Makes log records whose text, arguments and exception are redacted: no formatter sees others.

    Numbers that are arguments are counts and stay.
    """

    def __init__(self, make: Callable[..., logging.LogRecord], redactor: Redactor) -> None:
        self._make = make
        self._redactor = redactor

    def __call__(self, *args: Any, **kwargs: Any) -> logging.LogRecord:
        record = self._make(*args, **kwargs)
        if record.msg != "METRIC: %s":  # The SDK's own objects, which hold numbers.
            record.msg = self._redactor(str(record.msg))
            if isinstance(record.args, Mapping):
                record.args = {name: self._argument(value) for name, value in record.args.items()}
            elif record.args:
                record.args = tuple(map(self._argument, record.args))
        if record.exc_info and record.exc_info[1] is not None:
            error = _stand_in(record.exc_info[1], self._redactor, set())
            record.exc_info = (type(error), error, record.exc_info[2])
        return record

    def _argument(self, value: object) -> object:
        if value is None or isinstance(value, Number):
            return value
        return self._redactor(value) if isinstance(value, str) else _Redacted(value, self._redactor)


class _Redacted:
    """An argument whose texts are redacted."""

    def __init__(self, value: object, redactor: Redactor) -> None:
        self._value = value
        self._redactor = redactor

    def __str__(self) -> str:
        return self._redactor(str(self._value))

    def __repr__(self) -> str:
        return self._redactor(repr(self._value))


def _stand_in(error: BaseException, redactor: Redactor, seen: set[int]) -> BaseException:
    """An exception that looks like another, its message redacted, with those that led to it."""
    seen.add(id(error))
    kind = type(error)
    stand_in: BaseException = type(
        kind.__name__, (Exception,), {"__module__": kind.__module__, "__qualname__": kind.__qualname__}
    )(redactor(str(error)))
    stand_in.__traceback__ = error.__traceback__
    if error.__cause__ is not None and id(error.__cause__) not in seen:
        stand_in.__cause__ = _stand_in(error.__cause__, redactor, seen)
    if error.__context__ is not None and id(error.__context__) not in seen:
        stand_in.__context__ = _stand_in(error.__context__, redactor, seen)
    stand_in.__suppress_context__ = error.__suppress_context__
    return stand_in
