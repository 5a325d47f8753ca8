"""Opens what a plan says before Python opens a library: an audit hook, which waits for no other rank.

Nothing is closed again, and no variable set: what this process starts inherits nothing.
"""

from __future__ import annotations

import _ctypes
import ctypes
import filecmp
import os
import sys
import threading
import warnings
from collections.abc import Callable
from typing import Any

from dlcast._errors import LayersError
from dlcast._plan import Library, Plan

_TEST = "dlcast.layers.test"


class First:
    """The plans of this process, and what was opened because of them."""

    def __init__(self) -> None:
        """Without a plan it does nothing."""
        self._plans: dict[str, Plan] = {}
        self._open: dict[str, int] = {}
        """Handles by file, so that each is opened once."""
        self._here = threading.local()
        self._heard = False
        self.outside: Callable[[str], None] | None = None
        """Does the same for objects of which no plan knows, once libdlcast.so is there."""
        self._ctypes_dlopen: Callable[[Any, int], int] = _ctypes.dlopen

    def add(self, plan: Plan) -> None:
        """From now on, this plan counts, before those of other stacks."""
        self._listen()
        others = {stack: known for stack, known in self._plans.items() if stack != plan.stack}
        # Replaced as a whole: another thread may be looking.
        self._plans = {plan.stack: plan, **others}

    def before(self, name: str) -> None:
        """Opens what has to be open before `name`, a path or a bare name; OSError where that fails."""
        if getattr(self._here, "opens", False):
            return
        known = False
        for plan in self._plans.values():
            for library in plan.before(name):
                known = True
                if library.file not in self._open:
                    self._take(library, name)
        if self._plans and not known and "/" in name and self.outside is not None:
            self.outside(name)

    def _take(self, library: Library, asker: str) -> None:
        self._here.opens = True
        try:
            handle = None if library.soname is None else _loaded(library.soname)
            if handle is None:
                handle = _ctypes.dlopen(library.file, os.RTLD_NOW | os.RTLD_LOCAL)
            else:
                _compare(library, asker, handle)
            self._open[library.file] = handle
        except OSError as error:
            raise OSError(
                f"{asker}: needs {library.file} of layer `{library.layer}`, which cannot be opened: {error}"
            ) from None
        finally:
            self._here.opens = False

    def _listen(self) -> None:
        """Puts the hooks in place, once: they cannot be taken away again."""
        if self._heard:
            return
        sys.addaudithook(self._hear)
        sys.audit(_TEST)
        if not self._heard:
            raise LayersError(
                "this program has an audit hook that lets no other one be added, and dlcast needs one"
            )
        self._ctypes_dlopen = ctypes._dlopen
        ctypes._dlopen = self._dlopen

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Called for everything that is audited: quick where it is not meant."""
        if event == "import":
            # Only an extension module that is about to be opened has a file here.
            module, file, *_ = arguments
            if isinstance(file, str):
                try:
                    self.before(file)
                except OSError as error:
                    raise ImportError(str(error), name=module, path=file) from None
        elif event == "ctypes.dlopen":
            name = _text(arguments[0])
            if name is not None:
                self.before(name)
        elif event == _TEST:
            self._heard = True

    def _dlopen(self, name: Any, mode: int = ctypes.DEFAULT_MODE) -> int:
        """In place of `ctypes._dlopen`: a name that ld.so does not know becomes the file that it means."""
        bare = _text(name)
        if mode & os.RTLD_NOLOAD:
            # Nothing is to be loaded, neither that nor what it needs.
            self._here.opens = True
            try:
                return self._ctypes_dlopen(name, mode)
            finally:
                self._here.opens = False
        if bare is not None and "/" not in bare:
            files = (plan.file_of(bare) for plan in self._plans.values())
            name = next(filter(None, files), name)
        return self._ctypes_dlopen(name, mode)


def _text(name: Any) -> str | None:
    try:
        return os.fsdecode(name)
    except TypeError:
        return None


def _loaded(name: str) -> int | None:
    """A handle of what ld.so takes for a name without looking for a file."""
    try:
        handle: int = _ctypes.dlopen(name, os.RTLD_LAZY | os.RTLD_NOLOAD)
    except OSError:
        return None
    return handle


def _compare(library: Library, asker: str, handle: int) -> None:
    """What is open under a name is what everything gets that needs it, from now on to the end."""
    path = _path_of(handle)
    try:
        if path is None or os.path.samefile(path, library.file) or filecmp.cmp(path, library.file, False):
            return
    except OSError as error:
        path = f"{path} ({error})"
    warnings.warn(
        f"{asker}: needs {library.file} of layer `{library.layer}`, but gets {path}, which was open before "
        f"under the same name, `{library.soname}`: activate the layers earlier",
        RuntimeWarning,
        stacklevel=4,
    )


class _LinkMap(ctypes.Structure):
    """The beginning of ld.so's record of an object (link.h)."""

    _fields_ = (("addr", ctypes.c_size_t), ("name", ctypes.c_char_p))


def _path_of(handle: int) -> str | None:
    linkmap = ctypes.POINTER(_LinkMap)()
    dlinfo = ctypes.PyDLL(None).dlinfo
    dlinfo.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p]
    rtld_di_linkmap = 2
    if dlinfo(handle, rtld_di_linkmap, ctypes.byref(linkmap)) != 0:
        return None
    name = linkmap.contents.name
    return os.fsdecode(name) if name else None


first = First()
