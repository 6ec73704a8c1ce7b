"""A simulated SignalWire Space on loopback: real HTTP, messages that change as its clock moves, faults on request."""

from __future__ import annotations

from tests.simulator.faults import Fault
from tests.simulator.listener import Listener
from tests.simulator.population import MISSING, Population
from tests.simulator.simulator import Simulator
from tests.simulator.wire import Request

__all__ = ["MISSING", "Fault", "Listener", "Population", "Request", "Simulator"]
