"""Code named so that another rank can find it: functions of libraries, the program, and Python modules."""

from __future__ import annotations

import inspect
import operator
import os
import sys
from types import ModuleType
from typing import Any

from dlcast import _importer, _native
from dlcast._signature import NativeFunction, address_of_function

_WAY = 'move it to the top level of a module, and give what it captures as the "payload"'
_UNFINISHED = [
    (inspect.iscoroutinefunction, "an async function"),
    (inspect.isasyncgenfunction, "an async generator function"),
    (inspect.isgeneratorfunction, "a generator function"),
]


class CodeRef:
    """A portable name of code, with a payload and a signature that travel along.

    It can be sent through any channel (it can be pickled, and `to_bytes` gives what C and Rust read) and
    resolved on any rank whose files are the same. Where they differ, resolving is an error, never a wrong
    call.
    """

    __slots__ = ("_bytes", "_payload", "_said")

    _bytes: bytes
    _payload: bytes
    _said: dict[str, Any]

    def __init__(self) -> None:
        """Made by `of`, `symbol`, `library`, `python` and `from_bytes`."""
        raise TypeError(
            "a CodeRef is made by CodeRef.of(), .symbol(), .library(), .python() or .from_bytes()"
        )

    @classmethod
    def of(cls, code: Any, payload: Any = b"", signature: str = "") -> CodeRef:
        """Names a Python function, or native code of this process.

        A Python function, class, static or class method is named by module and qualified name, which has to
        lead to it. A ctypes function pointer, exported or not, or a task is named by its library and place
        in it. Local.
        """
        data = payload_of(payload)
        if isinstance(code, CodeRef):
            raise TypeError("it is a CodeRef already")
        if isinstance(code, NativeFunction):
            return cls.from_bytes(_native.native().code_of(code.address, signature or code.signature, data))
        address = address_of_function(code)
        if address == 0:
            raise ValueError("the function pointer is null")
        if address is not None:
            return cls.from_bytes(_native.native().code_of(address, signature, data))
        return cls.python(*_place(code), data, signature)

    @classmethod
    def symbol(
        cls, path: str | bytes | os.PathLike[Any], name: str, payload: Any = b"", signature: str = ""
    ) -> CodeRef:
        """Names a function that a library exports; the library need not be open. Local."""
        data = payload_of(payload)
        return cls.from_bytes(_native.native().code_symbol(_path(path), name, signature, data))

    @classmethod
    def library(cls, path: str | bytes | os.PathLike[Any], payload: Any = b"") -> CodeRef:
        """Names a library alone: it is loaded, and registers itself. Local."""
        return cls.from_bytes(_native.native().code_symbol(_path(path), None, "", payload_of(payload)))

    @classmethod
    def python(cls, module: str, qualname: str, payload: Any = b"", signature: str = "") -> CodeRef:
        """Names what a Python module has under a qualified name; nothing is imported. Local."""
        library = _native.native()
        return cls.from_bytes(library.code_python(module, qualname, signature, payload_of(payload)))

    @classmethod
    def from_bytes(cls, encoded: Any) -> CodeRef:
        """Reads what `to_bytes`, or the C or Rust face of another rank, has written."""
        self = object.__new__(cls)
        self._bytes = memoryview(encoded).tobytes()
        self._said, self._payload = _native.native().code_read(self._bytes)
        return self

    def to_bytes(self) -> bytes:
        """As bytes that any face reads."""
        return self._bytes

    @property
    def kind(self) -> str:
        """How it is named: "symbol", "offset", "library" or "python"."""
        return str(self._said["kind"])

    @property
    def payload(self) -> bytes:
        """What travels along."""
        return self._payload

    @property
    def signature(self) -> str:
        """What the code takes and gives, in its author's words; may be empty."""
        return str(self._said["signature"])

    def __repr__(self) -> str:
        """Names the code."""
        signature = f" {self.signature!r}" if self.signature else ""
        payload = f" with {len(self.payload)} bytes" if self.payload else ""
        return f"<dlcast.CodeRef {self._said['code']}{signature}{payload}>"

    def __eq__(self, other: object) -> bool:
        """Whether all of it is the same: place, signature and payload."""
        return self._bytes == other._bytes if isinstance(other, CodeRef) else NotImplemented

    def __hash__(self) -> int:
        """As `==`."""
        return hash(self._bytes)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled as bytes."""
        return (CodeRef.from_bytes, (self._bytes,))

    def resolve(self, *, comm: Any = None, signature: str | None = None) -> Any:
        """The code in this process: a Python object, or a `NativeFunction`; None for a library alone.

        A module or library that is missing is loaded here, and recorded: the next round brings it to every
        rank. Local, but native code on a communicator that has no session yet attaches to it. With a
        `signature`, the code's own must be the same, else ValueError. Code that this rank has not, or has
        in another version, is a ValueError that names the rank; for Python code ImportError or
        AttributeError.
        """
        from dlcast import _session  # The other way round, register_global() needs references.

        if self.kind != "python":
            session = _session._attach(comm, None, None)
            address = _native.native().code_resolve(session._handle, self._bytes, signature)
            return NativeFunction(address, self.signature, str(self._said["code"])) if address else None
        if signature is not None and signature != self.signature:
            raise ValueError(
                f"cannot resolve {self._said['code']}: its signature is `{self.signature}`, "
                f"expected was `{signature}`"
            )
        module: str = self._said["module"]
        is_new = module not in sys.modules
        found = _importer.find_code(module, self._said["qualname"])
        if is_new:
            _session._session_of(comm, True, None)._record(_session._Request(module))
        return found


def to_run(code: Any) -> CodeRef:
    """The reference of code that a call is enough to run."""
    reference = code if isinstance(code, CodeRef) else CodeRef.of(code)
    said = reference._said
    if said["kind"] != "python":
        return reference
    try:
        # Without an import: the round does it, and looks again.
        found = operator.attrgetter(said["qualname"])(sys.modules[said["module"]])
    except (KeyError, AttributeError):
        return reference
    for is_kind, kind in _UNFINISHED:
        if is_kind(found):
            raise TypeError(f"{said['code']} is {kind}, and a call runs nothing of it: {_importer.PLAIN}")
    return reference


def payload_of(payload: Any) -> bytes:
    """A copy of what travels with code."""
    try:
        return memoryview(payload).tobytes()
    except TypeError:
        raise TypeError(f'"payload" must be bytes-like, not {type(payload).__name__}') from None


def tag_of(tag: Any) -> int:
    """A tag, of 64 bits."""
    try:
        number = operator.index(tag)
    except TypeError:
        raise TypeError(f'"tag" must be an int, not {type(tag).__name__}') from None
    if not 0 <= number < 1 << 64:
        raise ValueError(f'"tag" must be from 0 to 2**64 - 1, not {number}')
    return number


def _path(path: str | bytes | os.PathLike[Any]) -> bytes:
    name = os.fsencode(path)
    if not name or b"\0" in name:
        raise ValueError(f'"path" names no file: {path!r}')
    return name


def _place(code: Any) -> tuple[str, str]:
    """Under which names every rank finds Python code."""
    if isinstance(code, staticmethod):
        code = code.__func__
    if not callable(code):
        raise TypeError(
            f"a callable is needed, a ctypes function pointer or a CodeRef, not {type(code).__name__}"
        )
    owner = getattr(code, "__self__", None)
    module: Any
    qualname: Any
    if isinstance(owner, type):
        # Of the class that it was taken from, not of the one that defines it.
        module, qualname = owner.__module__, f"{owner.__qualname__}.{code.__name__}"
    else:
        module, qualname = getattr(code, "__module__", None), getattr(code, "__qualname__", None)
        if owner is not None and not isinstance(owner, ModuleType):
            raise TypeError(
                f"{code!r} is bound to an object of this process alone: make it a static or class method, "
                'and give what it needs of the object as the "payload"'
            )
    if not isinstance(module, str) or not isinstance(qualname, str):
        raise TypeError(
            f"{code!r} has no name by which other ranks could find it: define a function at the top level "
            'of a module, and give what this object holds as the "payload"'
        )
    if "<lambda>" in qualname:
        raise ValueError(
            f"{code!r} is a lambda, which other ranks cannot find: make it a function, and {_WAY}"
        )
    if "<locals>" in qualname:
        raise ValueError(f"{code!r} is local to a function, so that other ranks cannot find it: {_WAY}")
    try:
        found = _importer.find_code(module, qualname)
    except (ImportError, AttributeError):
        found = None
    if found != code:
        raise ValueError(
            f"{module}.{qualname} is not {code!r}, so that other ranks would find other code: give the "
            "object that has this name"
        )
    return module, qualname
