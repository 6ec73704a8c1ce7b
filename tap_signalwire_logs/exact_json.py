"""JSON whose numbers keep their digits."""

from __future__ import annotations

from decimal import Decimal

import msgspec

decode_json = msgspec.json.Decoder(float_hook=Decimal).decode
"""Decodes JSON; numbers with a point or an exponent come as `Decimal`."""

encode_json = msgspec.json.Encoder(decimal_format="number").encode
"""Its counterpart."""
