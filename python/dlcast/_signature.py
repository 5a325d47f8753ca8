"""Native functions with a guarded signature, called with Python values.

A guarded function has the C type `int32_t f(ARGUMENTS..., RESULT *result, char *message, size_t capacity)`,
and a signature such as "(f64,*const f64,u64)->f64". What is wrong with the arguments is found before the
call.
"""

from __future__ import annotations

import ctypes
import functools
import operator
import re
import sys
from typing import Any, NamedTuple, NoReturn

from dlcast import _native
from dlcast._errors import TaskError

_NUMBERS: dict[str, Any] = {
    "i8": ctypes.c_int8,
    "i16": ctypes.c_int16,
    "i32": ctypes.c_int32,
    "i64": ctypes.c_int64,
    "u8": ctypes.c_uint8,
    "u16": ctypes.c_uint16,
    "u32": ctypes.c_uint32,
    "u64": ctypes.c_uint64,
    "f32": ctypes.c_float,
    "f64": ctypes.c_double,
    "bool": ctypes.c_bool,
}
_TYPE = rf"(?:{'|'.join(_NUMBERS)}|(?:\*(?:const|mut) )+(?:void|{'|'.join(_NUMBERS)}))"
_GUARDED = re.compile(rf"\(({_TYPE}(?:,{_TYPE})*)?\)(?:->({_TYPE}))?")
# Room for a message.
_ROOM = 4096

# What a buffer may say of its elements (PEP 3118), by kind; their size tells the rest.
_FORMATS = {"i": "bhilqn", "u": "BHILQN", "f": "fd", "b": "?"}
# ctypes has no public name for these.
_Simple: Any = ctypes.c_int.__mro__[1]
_Pointer: Any = ctypes.POINTER(ctypes.c_int).__mro__[1]
_Reference = type(ctypes.byref(ctypes.c_int()))
_Function: Any = type(ctypes.CFUNCTYPE(None)()).__mro__[1]


class Guarded(NamedTuple):
    """A guarded signature, read."""

    arguments: tuple[str, ...]
    result: str | None
    prototype: Any


@functools.cache
def guarded(signature: str) -> Guarded | None:
    """Reads a signature; None for one that is not guarded: any other text."""
    found = _GUARDED.fullmatch(signature)
    if found is None:
        return None
    arguments = tuple(found[1].split(",")) if found[1] else ()
    types = [_NUMBERS.get(kind, ctypes.c_void_p) for kind in arguments]
    if found[2]:
        types.append(ctypes.c_void_p)
    types += [ctypes.c_void_p, ctypes.c_size_t]
    return Guarded(arguments, found[2], ctypes.CFUNCTYPE(ctypes.c_int32, *types))


class NativeFunction:
    """Native code in this process: an address, to be called where its signature is guarded, else to be cast.

    `f(1.5, array)` takes ints, floats and bools; for pointers None, ctypes pointers and arrays, and
    whatever has a C-contiguous buffer of the right elements (bytes, array.array, numpy.ndarray). Wrong
    arguments are a TypeError (or an OverflowError) before the call; what the code itself reports is a
    TaskError.
    """

    __slots__ = ("_code", "address", "signature")

    address: int
    signature: str

    def __init__(self, address: int, signature: str, code: str = "") -> None:
        """At an address that the library has given; `code` is how references name it."""
        self.address = address
        self.signature = signature
        self._code = code

    def __repr__(self) -> str:
        """Says which code it is, as far as it is known, and what it takes and gives."""
        code = f" {self._code}" if self._code else ""
        signature = f" {self.signature!r}" if self.signature else ""
        return f"<dlcast.{type(self).__name__}{code}{signature} at {self.address:#x}>"

    def __reduce__(self) -> NoReturn:
        """Refuses to be pickled: in another process the address would be anything."""
        raise TypeError(
            f"{self._name()} is an address of this process: send dlcast.CodeRef.of() of it, or a task's id"
        )

    def cast(self, prototype: Any) -> Any:
        """As a ctypes function of a type that the caller vouches for, `ctypes.CFUNCTYPE(c_double, c_int)`."""
        return prototype(self.address)

    def __call__(self, *arguments: Any) -> Any:
        """Calls the code, without the GIL."""
        form = guarded(self.signature)
        if form is None:
            raise TypeError(
                f"{self._name()} cannot be called: {self.signature!r} is no guarded signature such as "
                '"(f64,u64)->f64"; cast it to its C type, as in .cast(ctypes.CFUNCTYPE(...))'
            )
        if len(arguments) != len(form.arguments):
            raise TypeError(
                f"{self._name()}{self.signature} takes {_counted(len(form.arguments))}, not {len(arguments)}"
            )
        keep: list[Any] = []
        passed: list[Any] = []
        for place, (kind, value) in enumerate(zip(form.arguments, arguments, strict=True), 1):
            try:
                passed.append(_converted(kind, value, keep))
            except (TypeError, OverflowError) as error:
                where = f"argument {place} of {self._name()}{self.signature}"
                raise type(error)(f"{where}: {error}") from None
        result = None if form.result is None else _result_type(form.result)()
        if result is not None:
            passed.append(ctypes.addressof(result))
        message = ctypes.create_string_buffer(_ROOM)
        status = form.prototype(self.address)(*passed, ctypes.addressof(message), _ROOM)
        del keep
        if status != 0:
            text = message.value.decode(errors="replace").rstrip()
            raise TaskError(f"{self._name()}: {text or f'it returned {status} and said nothing'}")
        return getattr(result, "value", result)

    def _name(self) -> str:
        return self._code or f"the function at {self.address:#x}"


def address_of_function(function: Any) -> int | None:
    """Of a ctypes function pointer; None for anything else."""
    if not isinstance(function, _Function):
        return None
    return ctypes.cast(function, ctypes.c_void_p).value or 0


def _counted(number: int) -> str:
    return f"{number} argument" + ("" if number == 1 else "s")


def _result_type(kind: str) -> Any:
    if kind in _NUMBERS:
        return _NUMBERS[kind]
    pointee = _NUMBERS.get(kind.partition(" ")[2])
    return ctypes.c_void_p if pointee is None else ctypes.POINTER(pointee)


def _converted(kind: str, value: Any, keep: list[Any]) -> Any:
    if kind not in _NUMBERS:
        return _pointer(kind, value, keep)
    if isinstance(value, _Simple):
        value = value.value
    if kind == "bool":
        return _truth(value)
    if kind in ("f32", "f64"):
        if not hasattr(value, "__float__") and not hasattr(value, "__index__"):
            _refuse(kind, value)
        return float(value)
    if not hasattr(value, "__index__"):
        _refuse(kind, value)
    number = operator.index(value)
    if _NUMBERS[kind](number).value != number:
        raise OverflowError(f"{number} is beyond {kind}")
    return number


def _truth(value: Any) -> bool:
    if not isinstance(value, bool) and hasattr(value, "item"):
        # A scalar of numpy's.
        value = value.item()
    if not isinstance(value, bool):
        _refuse("bool", value)
    return value


def _refuse(kind: str, value: Any) -> NoReturn:
    raise TypeError(f"expected {kind}, not {type(value).__name__}")


def _pointer(kind: str, value: Any, keep: list[Any]) -> int | None:
    """The address that a pointer argument leads to."""
    keep.append(value)
    pointee = kind.partition(" ")[2]
    if value is None:
        return None
    if isinstance(value, (ctypes.c_void_p, _Reference)):
        return ctypes.cast(value, ctypes.c_void_p).value
    if isinstance(value, (ctypes.c_char_p, _Pointer)):
        element = ctypes.c_char if isinstance(value, ctypes.c_char_p) else type(value)._type_
        _expect(kind, value, _is_element(pointee, element))
        return ctypes.cast(value, ctypes.c_void_p).value
    if isinstance(value, ctypes.Array) and pointee.startswith("*"):
        _expect(kind, value, _is_element(pointee, value._type_))
        return ctypes.addressof(value)
    try:
        view = memoryview(value)
    except TypeError:
        hint = "; encode it first" if isinstance(value, str) else ""
        hint = "; give a ctypes.c_void_p for an address" if isinstance(value, int) else hint
        raise TypeError(f"expected {kind}, not {type(value).__name__}{hint}") from None
    if not view.c_contiguous:
        raise TypeError(f"expected {kind}, and the buffer of this {type(value).__name__} is not C-contiguous")
    writable = kind.startswith("*mut ")
    if writable and view.readonly:
        raise TypeError(f"expected {kind}, and this {type(value).__name__} is read-only")
    if not _is_format(pointee, view.format, view.itemsize):
        raise TypeError(
            f"expected {kind}, and this {type(value).__name__} has elements of format {view.format!r} and "
            f"{view.itemsize} bytes"
        )
    address, keeper = _native.native().address_of(view, writable)
    keep.append(keeper)
    return address


def _expect(kind: str, value: Any, holds: bool) -> None:
    if not holds:
        _refuse(kind, value)


def _is_element(pointee: str, element: Any) -> bool:
    """Whether a ctypes type is what a pointer leads to."""
    if pointee == "void":
        return True
    if pointee.startswith("*"):
        return issubclass(element, (_Pointer, ctypes.c_void_p, ctypes.c_char_p))
    return issubclass(element, _Simple) and _is_format(pointee, element._type_, ctypes.sizeof(element))


def _is_format(pointee: str, format: str | None, size: int) -> bool:
    """Whether a buffer's elements are what a pointer leads to."""
    if pointee == "void":
        return True
    if pointee.startswith("*") or size != ctypes.sizeof(_NUMBERS[pointee]):
        return False
    text = format or "B"
    if text[0] in ("<" if sys.byteorder == "little" else ">!") or text[0] in "@=":
        text = text[1:]
    # A char is signed on one machine and not on another.
    kinds = "bBc" if pointee in ("i8", "u8") else _FORMATS[pointee[0]]
    return len(text) == 1 and text in kinds
