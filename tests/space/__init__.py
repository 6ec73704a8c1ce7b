"""A simulated SignalWire Space on loopback: real HTTP, messages that change as its clock moves, faults on request."""

from __future__ import annotations

from tests.space.faults import Fault
from tests.space.listener import Listener
from tests.space.population import MISSING, Population
from tests.space.simulator import Simulator
from tests.space.wire import Request

__all__ = ["MISSING", "Fault", "Listener", "Population", "Request", "Simulator"]
