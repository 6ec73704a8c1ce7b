from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_signalwire_logs.exact_json import decode_json
from tap_signalwire_logs.json_repair import repair


@pytest.mark.parametrize(
    ("body", "value"),
    [
        pytest.param(b'\xef\xbb\xbf{"a":1.50}', {"a": Decimal("1.50")}, id="byte-order mark"),
        pytest.param(b'{"a":"caf\xe9"}', {"a": "caf\u00e9"}, id="Latin-1"),
        pytest.param(b'{"a":"\x93hi\x94 \x80"}', {"a": "\u201chi\u201d \u20ac"}, id="Windows-1252"),
        pytest.param(b'{"a":"\x81"}', {"a": "\x81"}, id="a byte that Windows-1252 lacks"),
        pytest.param(b'{"a":"\xe9 caf\xc3\xa9 \xf0\x9f\x98\x80"}', {"a": "\u00e9 caf\u00e9 \U0001f600"}, id="both"),
        pytest.param(b'{"a":"cut \xe2\x82"}', {"a": "cut \ufffd"}, id="a character cut at the end of a text"),
        pytest.param(b'{"a":"\xed\xa0\xbd\xed\xb8\x80\xed\xa0\x80"}', {"a": "\U0001f600\ufffd"}, id="CESU-8"),
        pytest.param(b'{"a":"x\x01\n\ty\x1f"}', {"a": "x\x01\n\ty\x1f"}, id="control characters"),
        pytest.param(b'{"a":"\x00"}', {"a": "\0"}, id="NUL"),
        pytest.param(
            b'{"a":NaN,"b":[-Infinity,Infinity],"c":nan}', {"a": None, "b": [None, None], "c": None}, id="NaN"
        ),
        pytest.param(
            b'{"NaN":NaN,"a":"NaN, -Infinity \\"NaN"}', {"NaN": None, "a": 'NaN, -Infinity "NaN'}, id="NaN in a text"
        ),
        pytest.param(rb'{"a":"\ud83d","b":"\ude00 \\ud83d"}', {"a": "\ufffd", "b": "\ufffd \\ud83d"}, id="half"),
        pytest.param(rb'{"a":"\ud83d\ud83d\ude00\n"}', {"a": "\ufffd\U0001f600\n"}, id="half before a whole"),
        pytest.param(rb'{"a":"C:\q \u12"}', {"a": r"C:\q \u12"}, id="stray backslash"),
        pytest.param('{"a":"\u00e9\U0001f600"}'.encode("utf-16"), {"a": "\u00e9\U0001f600"}, id="UTF-16"),
        pytest.param('{"a":"\u00e9"}'.encode("utf-16-be"), {"a": "\u00e9"}, id="UTF-16 without a mark"),
        pytest.param(
            b'\xef\xbb\xbf{"a":"\xe9\x01\\ud800 NaN","b":NaN,\r\n"c":1.0}',
            {"a": "\u00e9\x01\ufffd NaN", "b": None, "c": Decimal("1.0")},
            id="all at once",
        ),
    ],
)
def test_json_that_is_almost_right_is_read_as_it_was_meant(body: bytes, value: dict[str, Any]) -> None:
    repaired = repair(body)
    assert repaired is not None
    assert decode_json(repaired) == value
    assert repair(repaired) is None
    assert repair(bytearray(body)) == repaired


@pytest.mark.parametrize("body", [b"", b"{}", b'{"a":"NaN \\u0001 \\ud83d\\ude00 \xc3\xa9 \\\\"}', b"[1, 2]", b'{"a":'])
def test_what_is_right_or_cut_short_has_nothing_to_repair(body: bytes) -> None:
    assert repair(body) is None


@pytest.mark.parametrize(
    "body", [b'{"a":"\xe9', b'{"a":NaN', b'{"a":"\xe9"}}', b"<html>\xe9 NaN</html>", b'{"a":"x", "\xe9'], ids=repr
)
def test_what_is_cut_short_stays_broken(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        decode_json(repair(body) or b"")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.sampled_from(["NaN", '"', "\\", "\x01", "\\ud800"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(json_values, st.booleans())
def test_right_json_is_never_touched(value: Any, ascii_only: bool) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only)
    assert repair(text.encode()) is None


@given(st.text(st.characters(codec="cp1252", exclude_characters='"\\')).filter(lambda text: not text.isascii()))
def test_a_text_of_another_encoding_costs_no_other_part(text: str) -> None:
    body = b'{"before":1.50,"text":"' + text.encode("cp1252") + b'","after":"\\u00e9"}'
    value = decode_json(repair(body) or body)
    assert (value["before"], value["after"]) == (Decimal("1.50"), "\u00e9")


@given(st.binary(max_size=60))
def test_no_body_breaks_the_repair(body: bytes) -> None:
    repaired = repair(b'{"a":"' + body + b'"}')
    assert repaired is None or repaired.decode()
