from __future__ import annotations

import pytest

from tap_signalwire_logs.exact_json import decode_json, encode_json, to_dict


@pytest.mark.parametrize("number", ["0.004150", "1E-7", "0.10", "123456789012345678901234567890", "0", "-0.0"])
def test_a_number_keeps_its_digits(number: str) -> None:
    body = f'{{"charge":{number}}}'.encode()
    assert str(to_dict(body)["charge"]) == number
    assert encode_json(to_dict(body)) == body


def test_an_exponent_that_no_number_has_is_null() -> None:
    assert decode_json(b'{"charge":1e99999999999999999999}') == {"charge": None}
