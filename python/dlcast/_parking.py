"""Modules that were imported here and undone everywhere: put back by a later import, without running again.

Some modules refuse a second import in one process (numpy: "cannot load module more than once per process"),
and others do not stand it. So the body runs once, however often the import is undone and retried; unless its
source has changed, for then it is another body, and the other ranks would run the new one.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

# What the import system may set on a module that a loader hands it.
_SET_BY_IMPORT = ("__name__", "__loader__", "__package__", "__spec__", "__path__", "__file__", "__cached__")
_MISSING = object()


class Parking:
    """A finder, in front of all others, for the modules that are parked."""

    def __init__(self) -> None:
        """Nothing is parked, and sys.meta_path is untouched until something is."""
        self._modules: dict[str, ModuleType] = {}
        self._sources: dict[str, tuple[int, int] | None] = {}

    def park(self, name: str, module: ModuleType) -> None:
        """Takes a module out of sys.modules and off its parent package."""
        # Parked before it is taken out: an import in another thread finds it in one place or the other.
        self._modules[name] = module
        self._sources[name] = _source(module)
        self.come_first()
        del sys.modules[name]
        parent, _, child = name.rpartition(".")
        package = sys.modules.get(parent, self._modules.get(parent))
        # Not getattr: a package's own __getattr__ may import the module at once.
        if getattr(package, "__dict__", {}).get(child) is module:
            with contextlib.suppress(AttributeError):
                delattr(package, child)

    def come_first(self) -> None:
        """Goes before the finders that were added since, which would run the body again."""
        if self._modules and sys.meta_path[0] is not self:
            with contextlib.suppress(ValueError):
                sys.meta_path.remove(self)
            sys.meta_path.insert(0, self)

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None, /
    ) -> ModuleSpec | None:
        """Of a parked module; a look alone puts nothing back."""
        module = self._modules.get(name)
        if module is None:
            return None
        now = _source(module)
        if now is not None and now != self._sources.get(name):
            self._modules.pop(name, None)
            return None
        loader: Any = _PutBack(name, module, self._modules)
        spec = ModuleSpec(name, loader, origin=getattr(module, "__file__", None))
        spec.submodule_search_locations = getattr(module, "__path__", None)
        return spec


def _source(module: ModuleType) -> tuple[int, int] | None:
    """The state of the file that a module came from, as far as there is one."""
    try:
        found = os.stat(module.__file__ or "")
    except (AttributeError, OSError, TypeError, ValueError):
        return None
    return found.st_mtime_ns, found.st_size


class _PutBack:
    """The loader of one parked module."""

    def __init__(self, name: str, module: ModuleType, parked: dict[str, ModuleType]) -> None:
        self._name = name
        self._module = module
        self._parked = parked
        self._as_it_was: dict[str, object] = {}

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """The module itself, for another thread may see it from now on."""
        self._as_it_was = {name: getattr(self._module, name, _MISSING) for name in _SET_BY_IMPORT}
        return self._module

    def exec_module(self, module: ModuleType) -> None:
        """Nothing but to take back what the import system has set: the body has run."""
        for name, value in self._as_it_was.items():
            with contextlib.suppress(AttributeError):
                if value is _MISSING:
                    delattr(module, name)
                elif getattr(module, name, _MISSING) is not value:
                    setattr(module, name, value)
        self._parked.pop(self._name, None)


parking = Parking()
