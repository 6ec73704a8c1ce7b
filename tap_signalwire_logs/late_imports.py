"""Modules that others import and this process may never use: imported when something of theirs is called."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def late_imports(*names: str) -> Iterator[None]:
    """While it lasts, what is imported from these modules stands in for it, and imports it once it is called.

    For functions and classes that are called, and neither subclassed nor compared. Afterwards the modules are imported
    as ever; one that has been imported before stays as it is. (`importlib.util.LazyLoader` imports a module
    at the first look at an attribute, which `from … import` is.)
    """
    stand_ins = {name: _StandIn(name) for name in names if name not in sys.modules}
    sys.modules.update(stand_ins)
    try:
        yield
    finally:
        for name, stand_in in stand_ins.items():
            if sys.modules.get(name) is stand_in:
                del sys.modules[name]


class _StandIn(ModuleType):
    def __getattr__(self, name: str) -> _Late:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Late(self.__name__, name)


class _Late:
    def __init__(self, module: str, name: str) -> None:
        self._module = module
        self._name = name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if isinstance(sys.modules.get(self._module), _StandIn):
            del sys.modules[self._module]  # it is called before the end
        return getattr(import_module(self._module), self._name)(*args, **kwargs)
