"""Guarded signatures: what is called with what, and what is refused before the call."""

from __future__ import annotations

import array
import ctypes
import pickle

import pytest

import dlcast
from dlcast._native import TaskEntry
from dlcast._signature import NativeFunction, guarded
from dlcast._tasks import Task


def function(signature, body):
    """A function of this process, in place of a plugin's."""
    thunk = guarded(signature).prototype(body)
    found = NativeFunction(ctypes.cast(thunk, ctypes.c_void_p).value, signature)
    return found, thunk


@pytest.fixture
def passed(native):
    """Calls one argument of a type, and gives what the function received."""

    def passed(kind, value):
        received = []

        def body(*arguments):
            received.append(arguments[0])
            return 0

        called, _thunk = function(f"({kind})", body)
        assert called(value) is None
        return received[0]

    return passed


@pytest.mark.parametrize(
    ("signature", "arguments", "result"),
    [
        ("()", (), None),
        ("()->u8", (), "u8"),
        ("(f64,*const f64,u64)->f64", ("f64", "*const f64", "u64"), "f64"),
        ("(*mut *const void,bool)->*mut f32", ("*mut *const void", "bool"), "*mut f32"),
    ],
)
def test_a_guarded_signature_is_read(signature, arguments, result):
    assert guarded(signature)[:2] == (arguments, result)


@pytest.mark.parametrize(
    "signature", ["", "c:int(double)", "(f64, f64)", "(void)", "(f16)", "()->", "(f64", "(*f64)", "(f64,)"]
)
def test_any_other_signature_is_cast_not_called(signature):
    assert guarded(signature) is None
    with pytest.raises(TypeError, match=r"\.cast\("):
        NativeFunction(1, signature)()


@pytest.mark.parametrize(
    ("kind", "value", "received"),
    [
        ("i8", -128, -128),
        ("u64", 2**64 - 1, 2**64 - 1),
        ("i32", True, 1),
        ("i32", ctypes.c_int16(-4), -4),
        ("f64", 3, 3.0),
        ("f32", 0.5, 0.5),
        ("bool", True, True),
        ("*const void", None, None),
    ],
)
def test_a_value_arrives_as_it_is(passed, kind, value, received):
    assert passed(kind, value) == received


def test_numbers_of_numpy_are_numbers(passed):
    numpy = pytest.importorskip("numpy", exc_type=ImportError)
    assert passed("i16", numpy.int64(7)) == 7
    assert passed("f64", numpy.float32(0.5)) == 0.5
    assert passed("bool", numpy.bool_(True)) is True


DOUBLES = ctypes.c_double * 2


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("*mut f64", DOUBLES(1, 2)),
        ("*const f64", ctypes.c_double(1)),
        ("*mut void", ctypes.c_int(1)),
        ("*const u8", ctypes.create_string_buffer(b"text")),
        ("*mut *mut f64", (ctypes.POINTER(ctypes.c_double) * 1)()),
    ],
)
def test_what_ctypes_holds_is_lent(passed, kind, value):
    assert passed(kind, value) == ctypes.addressof(value)


def test_pointers_of_ctypes_are_pointers(passed):
    value = ctypes.c_double(1)
    address = ctypes.addressof(value)
    for pointer in (ctypes.pointer(value), ctypes.byref(value), ctypes.c_void_p(address)):
        assert passed("*mut f64", pointer) == address


def test_buffers_are_lent(passed):
    doubles = array.array("d", [1, 2])
    assert passed("*mut f64", doubles) == passed("*const void", doubles) == doubles.buffer_info()[0]
    text = b"text"
    assert passed("*const u8", text) == passed("*const i8", text)
    assert ctypes.string_at(passed("*const u8", text)) == text


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        ("i8", 128, "128 is beyond i8"),
        ("u32", -1, "-1 is beyond u32"),
        ("i32", 1.0, "expected i32, not float"),
        ("i32", "1", "expected i32, not str"),
        ("f64", "1", "expected f64, not str"),
        ("f64", 1j, "expected f64, not complex"),
        ("bool", 1, "expected bool, not int"),
        ("*const u8", "text", "encode it first"),
        ("*mut u8", b"text", "this bytes is read-only"),
        ("*mut f64", 4096, "give a ctypes.c_void_p for an address"),
        ("*mut f64", array.array("f", [1]), "elements of format 'f' and 4 bytes"),
        ("*mut i64", array.array("d", [1]), "elements of format 'd' and 8 bytes"),
        ("*mut u64", array.array("q", [1]), "elements of format 'q' and 8 bytes"),
        ("*mut f64", ctypes.pointer(ctypes.c_float(1)), "expected *mut f64, not LP_c_float"),
        ("*const f64", memoryview(array.array("d", [1, 2, 3]))[::2], "is not C-contiguous"),
        ("*mut *mut f64", DOUBLES(1, 2), "expected *mut *mut f64"),
    ],
)
def test_a_wrong_value_is_refused_before_the_call(passed, kind, value, text):
    with pytest.raises((TypeError, OverflowError)) as caught:
        passed(kind, value)
    assert text in str(caught.value)
    assert f"({kind})" in str(caught.value)
    assert str(caught.value).startswith("argument 1 of ")


def test_a_wrong_number_of_arguments_is_refused():
    with pytest.raises(TypeError, match="takes 1 argument, not 2"):
        NativeFunction(1, "(f64)")(1, 2)


def test_results_come_back():
    def halve(value, result, message, capacity):
        ctypes.c_double.from_address(result).value = value / 2
        return 0

    half, _thunk = function("(f64)->f64", halve)
    assert half(3) == 1.5


@pytest.mark.parametrize(
    ("message", "text"), [(b"not \xff today ", "not \ufffd today"), (b"", "it returned 3 and said nothing")]
)
def test_a_failure_is_a_task_error_with_its_message(message, text):
    def fail(room, capacity):
        assert capacity >= 1024
        ctypes.memmove(room, message, len(message))
        return 3

    failing, _thunk = function("()", fail)
    named = NativeFunction(failing.address, "()", "libcode.so+0x10 (near)")
    task = Task(TaskEntry(1, "heat", "step", "()", failing.address))
    names = f"the function at {failing.address:#x}", "libcode.so+0x10 (near)", "task heat.step"
    for called, name in zip((failing, named, task), names, strict=True):
        with pytest.raises(dlcast.TaskError) as caught:
            called()
        assert str(caught.value) == f"{name}: {text}"


def test_a_function_says_which_code_it_is():
    assert repr(NativeFunction(16, "")) == "<dlcast.NativeFunction at 0x10>"
    assert repr(NativeFunction(16, "(f64)")) == "<dlcast.NativeFunction '(f64)' at 0x10>"
    known = NativeFunction(16, "(f64)", "solve of libcode.so")
    assert repr(known) == "<dlcast.NativeFunction solve of libcode.so '(f64)' at 0x10>"


def test_an_address_does_not_travel():
    with pytest.raises(TypeError, match=r"send dlcast\.CodeRef\.of\(\)"):
        pickle.dumps(NativeFunction(1, "()"))
