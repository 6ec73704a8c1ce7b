from __future__ import annotations

import pytest

from tap_signalwire_logs.redact import redact


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param("is +15550100001 really", "is … really", id="E.164"),
        pytest.param("15550100001, %2B15550100001", "…, …", id="without or with an escaped plus"),
        pytest.param("(555) 010-0001 or 555.010.0001", "… or …", id="as people write them"),
        pytest.param("exceeds the 2025-02-09 date limit.", "exceeds the 2025-02-09 date limit.", id="a date"),
        pytest.param(
            "2025-02-09 12:00:00, 2025-02-09T12:00:00Z", "2025-02-09 12:00:00, 2025-02-09T12:00:00Z", id="times"
        ),
        pytest.param("page_size is 1 to 1000; 422", "page_size is 1 to 1000; 422", id="small numbers"),
        pytest.param("c38dacad-2f6c-4711-9003-000732000705", "c38dacad-2f6c-4711-9003-000732000705", id="an ID"),
    ],
)
def test_phone_numbers_are_masked_and_the_rest_stays(text: str, shown: str) -> None:
    assert redact(text) == shown
