"""JSON whose numbers keep their digits."""

from __future__ import annotations

import re
from decimal import Decimal

import msgspec

decode_json = msgspec.json.Decoder(float_hook=Decimal).decode
"""Decodes JSON; numbers with a point or an exponent come as `Decimal`."""

_ESCAPE = re.compile(rb"\\u[dD][89abAB]..\\u[dD][c-fC-F]..|\\u[dD][89a-fA-F]..|\\.", re.DOTALL)


def without_lone_surrogates(body: bytes | bytearray) -> bytes:
    """JSON in which halves of a character, as a text that was cut may hold, are U+FFFD: no decoder takes them."""
    return _ESCAPE.sub(
        lambda found: rb"\ufffd" if len(found.group()) == len(rb"\ud800") else found.group(), bytes(body)
    )


encode_json = msgspec.json.Encoder(decimal_format="number").encode
"""Its counterpart."""


def repair(body: bytes | bytearray) -> bytes | None:
    """Body with what no decoder takes mended; None where there is nothing to repair."""
    mended = without_lone_surrogates(body)
    return None if mended == body else mended
