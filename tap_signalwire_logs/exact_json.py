"""JSON whose numbers keep their digits."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec


def _decimal(digits: str) -> Decimal | None:
    """Exact number; None where its exponent is beyond what a Decimal holds."""
    try:
        return Decimal(digits)
    except InvalidOperation:
        return None


decode_json = msgspec.json.Decoder(float_hook=_decimal).decode
"""Decodes JSON; numbers with a point or an exponent come as `Decimal`."""

encode_json = msgspec.json.Encoder(decimal_format="number").encode
"""Its counterpart."""


def to_dict(record: bytes) -> dict[str, Any]:
    """Dictionary of a record's JSON, for what can't pass its bytes on; numbers as `decode_json`."""
    decoded: dict[str, Any] = decode_json(record)
    return decoded
