from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.space import Simulator

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def sim() -> Iterator[Simulator]:
    """A Space of 300 messages over 30 days, whose clock stands a day before now."""
    with Simulator(messages=300, seed=7, days=30) as simulator:
        yield simulator


@pytest.fixture
def empty_sim() -> Iterator[Simulator]:
    """A Space without a message, for tests that bring their own."""
    with Simulator(messages=0, seed=7, days=30) as simulator:
        yield simulator
