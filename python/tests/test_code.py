"""How Python code is named for other ranks, and what cannot be."""

from __future__ import annotations

import ctypes
import functools
import math
import pickle

import pytest

import dlcast
from dlcast import CodeRef


@pytest.fixture(autouse=True)
def _native(native):
    """References are made without the library."""


def plain(payload, tag):
    pass


@functools.wraps(plain)
def impostor(payload, tag):
    pass


class Outer:
    """Holds code of every kind."""

    class Inner:
        """Holds it."""

        @staticmethod
        def static(payload, tag):
            pass

        @classmethod
        def of_class(cls, payload, tag):
            pass

        def method(self, payload, tag):
            pass

        def __call__(self, payload, tag):
            pass

    class Derived(Inner):
        """Has it from the other."""


def local():
    def inside(payload, tag):
        pass

    return inside


@pytest.mark.parametrize(
    ("code", "name"),
    [
        (plain, f"{__name__}:plain"),
        (Outer.Inner, f"{__name__}:Outer.Inner"),
        (Outer.Inner.static, f"{__name__}:Outer.Inner.static"),
        (Outer.Inner.__dict__["static"], f"{__name__}:Outer.Inner.static"),
        (Outer.Inner.of_class, f"{__name__}:Outer.Inner.of_class"),
        (Outer.Derived.of_class, f"{__name__}:Outer.Derived.of_class"),
        (math.sqrt, "math:sqrt"),
    ],
)
def test_code_is_named_by_module_and_qualified_name(code, name):
    assert repr(CodeRef.of(code)) == f"<dlcast.CodeRef {name}>"
    assert CodeRef.of(code).kind == "python"


@pytest.mark.parametrize(
    ("code", "error", "way"),
    [
        (lambda payload, tag: None, ValueError, "move it to the top level of a module"),
        (local(), ValueError, "move it to the top level of a module"),
        (impostor, ValueError, "is not <function"),
        (Outer.Inner().method, TypeError, "make it a static or class method"),
        (Outer.Inner(), TypeError, "define a function at the top level of a module"),
        (functools.partial(plain), TypeError, "define a function at the top level of a module"),
        (Outer.Inner.__dict__["of_class"], TypeError, "a callable is needed"),
        ("plain", TypeError, "a callable is needed"),
        (ctypes.CFUNCTYPE(None)(), ValueError, "the function pointer is null"),
    ],
)
def test_what_other_ranks_could_not_find_is_refused(code, error, way):
    with pytest.raises(error, match=way):
        CodeRef.of(code)


async def asynchronous(payload, tag):
    pass


async def both(payload, tag):
    yield


def generator(payload, tag):
    yield


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (asynchronous, "an async function"),
        (both, "an async generator function"),
        (generator, "a generator function"),
    ],
)
def test_code_that_a_call_does_not_run_is_named_but_not_registered(native, code, kind):
    reference = CodeRef.of(code)
    assert reference.resolve() is code
    for given in (code, reference):
        with pytest.raises(
            TypeError, match=f"{code.__name__} is {kind}, and a call runs nothing of it: give"
        ):
            dlcast.register_global(given)
    assert [told[0] for told in native.told] == ["call"] * 2, "the ranks wait for this one"


def test_a_reference_is_a_value_that_travels():
    code = CodeRef.of(plain, bytearray(b"payload"), "(text)")
    copy = pickle.loads(pickle.dumps(code))
    assert copy == code == CodeRef.from_bytes(code.to_bytes())
    assert hash(copy) == hash(code)
    assert (copy.payload, copy.signature) == (b"payload", "(text)")
    assert code != CodeRef.of(plain) != plain
    assert repr(copy) == f"<dlcast.CodeRef {__name__}:plain '(text)' with 7 bytes>"


def test_a_reference_is_not_made_by_hand():
    with pytest.raises(TypeError, match=r"CodeRef\.of\(\)"):
        CodeRef()


@pytest.mark.parametrize("payload", ["text", 5, None, [1]])
def test_a_payload_is_bytes(payload):
    with pytest.raises(TypeError, match='"payload" must be bytes-like'):
        CodeRef.of(plain, payload)


def test_a_reference_resolves_to_the_object_that_it_names(write):
    write("holds.py", "class Kind:\n    @staticmethod\n    def call(payload, tag): return payload")
    code = CodeRef.python("holds", "Kind.call", b"x", "(any)")
    found = code.resolve(signature="(any)")
    assert found(code.payload, 0) == b"x"
    with pytest.raises(ValueError, match=r"its signature is `\(any\)`, expected was `\(other\)`"):
        code.resolve(signature="(other)")
    with pytest.raises(AttributeError, match=r"module `holds` has no `Kind\.other` on this rank"):
        CodeRef.python("holds", "Kind.other").resolve()
    with pytest.raises(ModuleNotFoundError):
        CodeRef.python("nowhere_to_be_found", "call").resolve()


def test_a_module_that_resolving_imports_is_recorded_for_the_next_round(write, native):
    write("holds.py", "def call(payload, tag): pass")
    session = dlcast.attach()
    for _ in range(2):
        CodeRef.python("holds", "call").resolve(comm=session)
    assert native.told == [("record_module", 7, "holds")]
