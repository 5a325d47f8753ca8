"""Callbacks, portable code and plugins under real mpirun; the programs are in `programs`."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Any

import job
import pytest

import dlcast

pytestmark = pytest.mark.mpi

HOST = socket.gethostname()

SHAPES = """
runs = []


class Shape:
    def __init__(self, payload, tag):
        runs.append("init")

    def __str__(self):
        return "a shape"

    class Part:
        @staticmethod
        def area(payload, tag):
            runs.append(["area", payload.decode(), tag])
            return int(payload) ** 2

    class Base:
        @classmethod
        def create(cls, payload, tag):
            runs.append([cls.__name__, payload.decode(), tag])
            return cls.__name__

    class Square(Base):
        pass
"""
REGISTERS = """
import dlcast

def note(payload, tag):
    import __main__
    __main__.runs.append(payload.decode())

assert dlcast.register_global(note, b"in a body") is None
"""
LIBRARY = "int answer(void) { return 42; }"
PLUGIN = """
#include <dlcast_plugin.h>
DLCAST_PLUGIN("NAME", "1.2");

static int32_t constructed, called;
__attribute__((constructor)) static void construct(void) { constructed++; }
static int32_t set_up(const void *payload, size_t length, uint64_t tag, char *message, size_t capacity) {
  (void)payload, (void)message, (void)capacity;
  called += (int32_t)length + (int32_t)tag;
  return 0;
}
DLCAST_CALLBACK(set_up, "ab", 2, 5);

static int32_t scale(const double *from, double *to, uint64_t count, double by, double *result, char *message,
                     size_t capacity) {
  if (by < 0) return dlcast_plugin_fail(message, capacity, "cannot scale by %g", by);
  *result = 0;
  for (uint64_t at = 0; at < count; at++) *result += to[at] = from[at] * by;
  return 0;
}
DLCAST_TASK(scale, "scale", "(*const f64,*mut f64,u64,f64)->f64");

static int32_t counts(int32_t *constructors, int32_t *callbacks, char *message, size_t capacity) {
  (void)message, (void)capacity;
  *constructors = constructed;
  *callbacks = called;
  return 0;
}
DLCAST_TASK(counts, "counts", "(*mut i32,*mut i32)");

static int answer(int more) { return 42 + more; }
DLCAST_TASK(answer, "answer", "c:int(int)");
"""
EXTENSION = """
#include <Python.h>
#include <dlcast_plugin.h>
DLCAST_PLUGIN("extension", "1.0");

extern int needed(void);
static int32_t answer(int32_t *result, char *message, size_t capacity) {
  (void)message, (void)capacity;
  *result = needed() + 1;
  return 0;
}
DLCAST_TASK(answer, "answer", "()->i32");
static int32_t set_up(const void *payload, size_t length, uint64_t tag, char *message, size_t capacity) {
  (void)payload, (void)length, (void)tag;
  return getenv("DLCAST_TEST_FAIL") ? dlcast_plugin_fail(message, capacity, "told to fail") : 0;
}
DLCAST_CALLBACK(set_up, "", 0, 0);
static PyModuleDef module = {PyModuleDef_HEAD_INIT, "native", NULL, -1, NULL, NULL, NULL, NULL, NULL};
PyMODINIT_FUNC PyInit_native(void) { return PyModule_Create(&module); }
"""
NEEDED = """
#include <dlcast_plugin.h>
DLCAST_PLUGIN("needed", "1.0");
int needed(void) { return 41; }
static int32_t answer(int32_t *result, char *message, size_t capacity) {
  (void)message, (void)capacity;
  *result = needed();
  return 0;
}
DLCAST_TASK(answer, "answer", "()->i32");
"""
ASKS = """
#include <dlfcn.h>
#include <dlcast.h>
dlcast_session session;
char library[4096];
int32_t said[6], other;
int32_t more(const void *bytes, size_t length, uint64_t tag, char *message, size_t capacity) { return 0; }
int32_t asks(const void *bytes, size_t length, uint64_t tag, char *message, size_t capacity) {
  void *handle = &session;
  dlcast_session again = 0, none = 0;
  said[0] = dlcast_load_global(session, library, 0, 5, &handle);
  said[1] = handle && dlsym(handle, "dlcast_plugin_table_v1");
  said[2] = dlcast_register_global(session, more, "x", 1, 3, 5);
  said[3] = dlcast_attach(DLCAST_COMM_WORLD, DLCAST_COLLECTIVE, 5, &again) == DLCAST_OK && again == session;
  said[4] = dlcast_attach(other, DLCAST_COLLECTIVE, 5, &none);
  said[5] = dlcast_sync(session, 5);
  return 0;
}
"""
CODE = """
#include <stdint.h>
#include <stdio.h>
typedef void (*function)(void);
static int count;
static int32_t twice(int32_t value, int32_t *result, char *message, size_t capacity) {
  *result = 2 * value;
  return 0;
}
static int32_t note(const void *payload, size_t length, uint64_t tag, char *message, size_t capacity) {
  count += 10 * (int)length + (int)tag;
  return 0;
}
int32_t fails(const void *payload, size_t length, uint64_t tag, char *message, size_t capacity) {
  snprintf(message, capacity, "cannot do %d", (int)tag);
  return 1;
}
function hidden(void) { return (function)twice; }
function noted(void) { return (function)note; }
int notes(void) { return count; }
"""
KERNELS = """
#include <dlcast_plugin.h>
DLCAST_PLUGIN(NAME, "1.0");
template <class T> struct kernel : dlcast::registers<kernel<T>> {
  static std::string task_name() { return "kernel"; }
  static T run() { return VALUE; }
};
template struct kernel<int>;
int exported() { return VALUE; }
static dlcast::task<&exported> exported_task{"exported"};
static int hidden() { return VALUE; }
static dlcast::task<&hidden> hidden_task{"hidden"};
"""


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., job.Result]:
    """Runs a program with modules on its path."""
    folder = tmp_path / "modules"
    folder.mkdir()

    def run(program: str, ranks: int, *arguments: str, files: dict[str, str] | None = None, **options: Any):
        for name, text in (files or {}).items():
            (folder / name).write_text(text)
        return job.run(program, ranks, *arguments, modules=folder, **options)

    return run


@pytest.fixture
def compile_library(tmp_path: Path) -> Callable[..., str]:
    """A shared library from C or C++ source, with the packaged headers."""

    def compile_library(source: str, name: str, *flags: str, language: str = "c") -> str:
        path = tmp_path / name
        written = path.with_suffix(".c" if language == "c" else ".cpp")
        written.write_text(source)
        compiler = shutil.which("cc") or "gcc" if language == "c" else shutil.which("c++") or "g++"
        command = [compiler, "-shared", "-fPIC", f"-Wl,-soname,{name}", f"-I{INCLUDE}"]
        subprocess.run([*command, "-o", str(path), str(written), *flags], check=True)
        return str(path)

    return compile_library


INCLUDE = Path(dlcast.__file__).with_name("_lib")


@pytest.mark.parametrize(("ranks", "who"), [(1, "all"), (4, "one"), (4, "all")])
def test_a_function_runs_once_on_every_rank_whoever_registers_it(run, ranks, who):
    for told in run("callback", ranks, who).good(ranks):
        assert told["once"] == 1
        assert told["runs"] == [["some\0 bytes", 7], ["some\0 bytes", 8]]
        assert told["again"] == 0


@pytest.mark.wide
def test_a_function_of_one_rank_runs_once_on_each_of_64(run):
    for told in run("callback", 64, "one", limit=170).good(64):
        assert told["runs"] == [["some\0 bytes", 7], ["some\0 bytes", 8]]


def test_an_exception_on_one_rank_is_one_error_on_every_rank(run):
    for told in run("callback_fails", 4).good(4):
        assert told["failing"] == [[2, HOST, "callback", "KeyError: 'on two'"]]
        assert told["text"].startswith("callback `__main__:fails` failed on 1 of 4 ranks; undone on all\n")
        assert "callback_fails.py" in told["traceback"]
        assert "_importer" not in told["traceback"]
        [[failing, message]] = told["again"]
        assert failing == 2
        assert "a callback runs once only" in message
        assert "KeyError: 'on two'" in message
        assert told["stopped"] == [[2, "SystemExit: 3"]]
        assert told["runs"] == 101


def test_a_function_that_one_rank_lacks_is_an_error_that_names_the_rank(run):
    for told in run("callback_fails", 4).good(4):
        [[failing, message]] = told["lacking"]
        assert failing == 2
        assert "module `__main__` has no `missing` on this rank" in message
        assert "every rank has to run the same program" in message


def test_what_a_callback_asks_for_is_done_when_the_call_returns(run, compile_library):
    path = compile_library(LIBRARY, "libanswer.so")
    for told in run("callback_asks", 3, path, files={"inner.py": ""}).good(3):
        assert told["done"] == ["first", "second", "third with x"]
        assert told["inner"]
        assert told["visible"]
        assert told["waits"] == [True, True]
        assert told["again"] == 0


def test_what_a_callback_in_c_asks_for_is_nested_and_done(run, compile_library):
    plugin = compile_library(PLUGIN.replace("NAME", "heat"), "libheat.so")
    asks = compile_library(ASKS, "libasks.so", str(INCLUDE / "libdlcast.so"))
    for told in run("asks_in_c", 3, asks, plugin).good(3):
        assert told["said"] == ["DLCAST_NESTED", 1, "DLCAST_NESTED", 1, "DLCAST_INVALID", "DLCAST_NESTED"]
        assert told["plugins"] == ["heat"]
        assert told["left"] == 0


def test_a_callback_fails_with_what_it_asks_for(run, compile_library):
    path = compile_library(LIBRARY, "libanswer.so")
    for told in run("callback_asks", 3, path, files={"inner.py": ""}).good(3):
        assert any("fails" in message for message in told["outer"]), told["outer"]


def test_a_method_named_by_one_rank_is_called_on_every_rank(run):
    for told in run("methods", 4, files={"shapes.py": SHAPES}).good(4):
        assert told["before"] == (told["rank"] == 3)
        assert told["called"] == ["9", "Square", "a shape", "16"]
        assert "its signature is `(text)`, expected was `(number)`" in told["wrong"]
        assert told["runs"] == [["area", "3", 0], ["Square", "5", 1]]
        assert told["same"] == [True, False, 3, False]
        assert told["repr"] == "<dlcast.CodeRef shapes:Shape.Part.area '(text)' with 1 bytes>"


@pytest.mark.parametrize("ranks", [1, 4])
def test_a_plugin_that_one_rank_opens_brings_its_tasks_to_all(run, compile_library, ranks):
    path = compile_library(PLUGIN.replace("NAME", "heat"), "libheat.so")
    for told in run("plugin", ranks, path, "heat").good(ranks):
        assert told["kinds"] == ["library"]
        assert told["names"] == [["heat"], ["scale", "counts", "answer"], "1.2", 3]
        assert told["total"] == [12, [2, 4, 6]]
        assert told["failed"] == "task heat.scale: cannot scale by -1"
        assert (told["by_id"], told["by_code"], told["raw"]) == ("scale", 6, 44)
        assert told["absent"] == [
            ["TaskLookupError", "no plugin `nope` is loaded; loaded are heat"],
            ["TaskLookupError", "plugin `heat` has no task `nope`"],
            None,
        ]
        assert told["counts"] == [1, 7]


@pytest.fixture
def extension(tmp_path, run, compile_library) -> None:
    """An extension module that is a plugin, in a library's clothes; it needs another plugin."""
    needed = compile_library(NEEDED, "libneeded.so")
    flags = [needed, f"-Wl,-rpath,{tmp_path}", f"-I{sysconfig.get_path('include')}"]
    compile_library(EXTENSION, "modules/native.so", *flags)


@pytest.mark.parametrize(
    ("how", "ranks"), [("imported", 1), ("imported", 3), ("recorded", 1), ("recorded", 3)]
)
def test_an_extension_module_brings_the_plugins_that_came_with_it(run, extension, how, ranks):
    for told in run("extension", ranks, how, "native").good(ranks):
        assert told["undone"] == []
        assert told["plugins"] == ["extension", "needed"]
        assert told["answers"] == [42, 41]
        assert told["module"] == "native"
        assert all(ids == told["ids"][0] for ids in told["ids"])


def test_a_module_is_undone_with_a_plugin_that_it_brought(run, extension):
    for told in run("extension", 3, "fails", "native").good(3):
        assert "it asks for `" in told["text"]
        assert "rank 1 (" in told["text"]
        assert "told to fail" in told["text"]
        assert not told["loaded"]
        assert "extension" not in told["plugins"]


def test_an_unloaded_plugin_comes_back_under_new_ids(run, compile_library):
    path = compile_library(PLUGIN.replace("NAME", "heat"), "libheat.so")
    for told in run("plugin", 3, path, "heat").good(3):
        assert "is stale: plugin `heat` was unloaded" in told["stale"][1]
        assert told["gone"] == []
        assert told["twice"] == 3
        before, after = told["ids"]
        assert before != after
        assert told["old"] == told["stale"]
        assert told["again"] == [1, 7]


def test_what_was_asked_for_stays_away_until_it_is_loaded_by_its_own_name(run, compile_library):
    asked = compile_library(PLUGIN.replace("NAME", "asked"), "libasked.so")
    asks = 'DLCAST_REQUEST_LIBRARY("$ORIGIN/libasked.so", 0);'
    asker = compile_library(PLUGIN.replace("NAME", "asker") + asks, "libasker.so")
    for told in run("asked_for", 2, asker, asked).good(2):
        assert told["plugins"] == [["asked", "asker"], ["asker"], ["asker"], ["asked", "asker"]]


@pytest.mark.parametrize("way", ["-fvisibility=hidden", "-Wl,-Bsymbolic"])
def test_exported_kernels_of_one_name_are_each_plugins_own(run, compile_library, way):
    paths = []
    for value, name in enumerate(("first", "second")):
        flags = ["-std=c++17", f'-DNAME="{name}"', f"-DVALUE={value}", way]
        paths.append(compile_library(KERNELS, f"lib{name}.so", *flags, language="c++"))
    for told in run("interposed", 2, *paths).good(2):
        assert told["values"] == [[0, 0, 0], [1, 1, 1]]


def test_a_static_function_named_by_one_rank_is_called_on_every_rank(run, compile_library):
    for told in run("native_code", 3, compile_library(CODE, "libcode.so")).good(3):
        assert told["twice"] == 42
        assert f"rank {told['rank']} ({HOST}) cannot resolve" in told["wrong"]
        assert "its signature is `(i32)->i32`, expected was `(i64)->i64`" in told["wrong"]
        assert told["notes"] == 34
        assert told["alone"] is None
        assert told["failing"] == [[rank, "cannot do 0"] for rank in range(3)]
        assert "in no mapped file" in told["generated"]
        assert told["damaged"].startswith("this is no code reference")
        assert re.fullmatch(
            r"<dlcast.NativeFunction libcode.so\+0x\w+.* '\(i32\)->i32' at 0x\w+>", told["repr"]
        )
        for text in told["large"]:
            assert text == "a payload of 67108865 bytes: at most 67108864 travel; send the name of a file"
        assert told["kinds"] == ["offset", "offset", "symbol", "library"]


def test_what_is_registered_in_a_block_or_a_body_travels_with_the_next_round(run):
    expected = ["in a block", "by the session", "in a body"]
    for told in run("callback_recorded", 3, files={"registers.py": REGISTERS}).good(3):
        assert told["runs"] == ([*["refused"], *expected] if told["rank"] == 0 else expected)
        names = ["callback __main__:note", "callback __main__:note", "callback registers:note"]
        # The body, which the other ranks run for the callback's sake, may ask once more.
        assert told["report"][:3] == [[name, [0]] for name in names]


def test_code_that_cannot_be_named_keeps_nobody_waiting(run):
    for told in run("bad_code", 3).good(3):
        if told["rank"] != 1:
            assert told["caught"] == []
            continue
        kinds = [kind for kind, _ in told["caught"]]
        assert kinds == ["ValueError"] * 2 + ["TypeError"] * 8 + ["ValueError", "TypeError"]
        assert all("give a plain function that runs it" in text for _, text in told["caught"][7:10])
        for _, text in told["caught"][:2]:
            assert "move it to the top level of a module" in text
        assert "make it a static or class method" in told["caught"][2][1]


def test_a_caller_in_c_runs_python_code_through_the_worker(run):
    for told in run("worker_calls", 2).good(2):
        assert told["statuses"] == [0, 0, 1, 0]
        runs = [["own", 1], ["own", 2], ["own", 3], ["in turn", 4]]
        assert told["runs"] == [[*ran, "dlcast imports"] for ran in runs]
