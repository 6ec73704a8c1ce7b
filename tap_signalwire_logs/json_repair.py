"""The repair of JSON that is almost right."""

from __future__ import annotations

import codecs
import json
import re

_STRING_OR_NO_NUMBER = re.compile(
    r'(?P<string>"[^"\\]*(?:\\.[^"\\]*)*")|(?<![\w.])[+-]?(?:NaN|Infinity|inf)(?!\w)', re.DOTALL | re.IGNORECASE
)
_ODD_IN_STRING = re.compile(
    r"""(?P<right>\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}
                 |\\(?!u[dD][89a-fA-F][0-9a-fA-F]{2})(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))
      |(?P<half>\\u[dD][89a-fA-F][0-9a-fA-F]{2})
      |(?P<backslash>\\)
      |(?P<control>[\x00-\x1f])""",
    re.VERBOSE,
)
_ENCODED_SURROGATES = re.compile(rb"\xed[\xa0-\xaf][\x80-\xbf]\xed[\xb0-\xbf][\x80-\xbf]|\xed[\xa0-\xbf][\x80-\xbf]")
_REPLACEMENT = "\ufffd"


def repair(body: bytes | bytearray) -> bytes | None:
    """JSON as its sender meant it, of a body that no decoder takes; None where there is nothing to repair.

    A byte-order mark goes, UTF-16 and UTF-32 become UTF-8, a byte that is no UTF-8 becomes its Windows-1252 character,
    control characters and stray backslashes inside strings are escaped, halves of surrogate pairs become U+FFFD, and
    the tokens NaN and Infinity become null. What is cut short or no JSON at all stays as broken as it is.
    """
    body = bytes(body)
    text = _STRING_OR_NO_NUMBER.sub(_repair_token, _decode_text(body))
    repaired = text.encode()
    return None if repaired == body else repaired


def _decode_text(body: bytes) -> str:
    encoding = json.detect_encoding(body)
    if encoding.startswith("utf-8"):
        joined = _ENCODED_SURROGATES.sub(_repair_surrogates, body)
        return joined.decode("utf-8", "windows-1252").lstrip("\ufeff")
    return body.decode(encoding, "replace").lstrip("\ufeff")


def _repair_surrogates(found: re.Match[bytes]) -> bytes:
    text = found.group().decode("utf-8", "surrogatepass")
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace").encode()


def _repair_bytes(error: UnicodeError) -> tuple[str, int]:
    """Text of bytes that are no UTF-8: Windows-1252, or U+FFFD for a longer character that a string's end cut."""
    assert isinstance(error, UnicodeDecodeError)  # noqa: S101 - it is registered for decoding alone
    wrong = error.object[error.start : error.end]
    if len(wrong) > 1 and error.object[error.end : error.end + 1] == b'"':
        return _REPLACEMENT, error.end
    return "".join(_WINDOWS_1252[byte] for byte in wrong), error.end


_WINDOWS_1252 = [
    bytes([byte]).decode("latin-1" if byte in b"\x81\x8d\x8f\x90\x9d" else "cp1252") for byte in range(256)
]
codecs.register_error("windows-1252", _repair_bytes)


def _repair_token(found: re.Match[str]) -> str:
    string = found["string"]
    return "null" if string is None else _ODD_IN_STRING.sub(_repair_escape, string)


def _repair_escape(found: re.Match[str]) -> str:
    if found["half"]:
        return r"\ufffd"
    if found["backslash"]:
        return r"\\"
    return f"\\u{ord(found['control']):04x}" if found["control"] else found.group()
