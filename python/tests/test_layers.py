"""Layers in the process: what Python opens finds the libraries of other layers."""

from __future__ import annotations

from pathlib import Path

import job
import layered
import pytest
from layered import PACKAGES, Stack

ANSWER = "from native import answer\ntold = answer()"
ACTIVATE = "dlcast.layers.activate(stack)\n"


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    return Stack(tmp_path)


def test_a_module_gets_what_it_needs_from_other_layers_and_not_without(stack):
    stack.typical()
    without = stack.start(ANSWER)
    assert "libouter.so.2: cannot open shared object file" in without.stderr
    assert stack.run(ACTIVATE + ANSWER) == 42


def test_importing_the_package_loads_neither_mpi_nor_the_library(stack):
    told = stack.run("told = open('/proc/self/maps').read()")
    assert "libdlcast" not in told
    assert "libmpi" not in told


def test_nothing_is_inherited_by_children(stack):
    stack.typical()
    code = "before = dict(os.environ)\n" + ACTIVATE + ANSWER + "\ntold = [told, before == dict(os.environ)]"
    assert stack.run(code) == [42, True]
    child = (
        "import subprocess\n"
        "code = f'import sys; sys.path[:0] = {sys.path!r}; import native'\n"
        "told = subprocess.run([sys.executable, '-c', code], env={}, capture_output=True, text=True).stderr"
    )
    assert "libouter.so.2: cannot open" in stack.run(ACTIVATE + ANSWER + "\n" + child)


def test_a_bare_name_and_an_alias_mean_the_library_of_the_layer(stack):
    stack.typical()
    (stack.root / "framework/lib/libouter.so").symlink_to("libouter.so.2")
    (stack.root / "framework/lib/libcopy.so").write_bytes(
        (stack.root / "framework/lib/libouter.so.2").read_bytes()
    )
    code = """
handles = {ctypes.CDLL(name)._handle for name in ("libouter.so", "libouter.so.2", "libcopy.so")}
told = [len(handles), ctypes.CDLL("libouter.so").needed(), open("/proc/self/maps").read().count("r-xp") > 0,
        "libcopy" in open("/proc/self/maps").read()]
"""
    assert stack.run(ACTIVATE + code) == [1, 42, True, False]


@pytest.mark.mpi
def test_of_two_stacks_the_one_that_was_activated_last_goes_first(stack, tmp_path):
    code = "import ctypes, dlcast, dlcast.layers\nfor one in sys.argv[1:]:\n    dlcast.layers.activate(one)\n"
    stacks = []
    for number in (1, 2):
        other = layered.Stack(tmp_path / f"stack{number}")
        text = f"int number(void) {{ return {number}; }}"
        # Of another SONAME than the name that is asked for: ld.so does not know it.
        other.build("runtime", "lib/libnumber.so", text, soname=f"libnumber{number}.so")
        (other.root / "runtime/lib" / f"libnumber{number}.so").symlink_to("libnumber.so")
        other.build("runtime", f"lib/libonly{number}.so", text, soname=f"libonly{number}.so")
        stacks.append(str(other.file))
    for order in (stacks, stacks[::-1], [*stacks, stacks[0]]):
        text = f"sys.argv = [None, *{order!r}]\n{code}"
        text += "told = [ctypes.CDLL(f'lib{name}.so').number() for name in ('number', 'only1', 'only2')]\n"
        # What dlcast opens on every rank is found in the same order.
        text += "told.append(dlcast.load_global('libnumber.so').number())"
        last = 1 + stacks.index(order[-1])
        assert stack.run(text) == [last, 1, 2, last]


def test_a_library_that_ctypes_opens_by_its_path_gets_what_it_needs(stack):
    stack.typical()
    path = str(stack.root / "framework/lib/libouter.so.2")
    assert stack.run(f"{ACTIVATE}told = ctypes.CDLL({path!r}).needed()") == 42


@pytest.mark.mpi
def test_an_object_outside_the_layers_gets_what_it_needs_once_dlcast_is_there(stack, tmp_path):
    stack.typical()
    (tmp_path / "elsewhere").mkdir()
    text = "extern int needed(void); int outside(void) { return needed() + 1; }"
    needed = stack.root / "framework/lib/libouter.so.2"
    outside = stack.build("..", str(tmp_path / "elsewhere/liboutside.so"), text, needed)
    stack.build(
        "..", str(tmp_path / "elsewhere/another.so"), layered.EXTENSION.replace("native", "another"), needed
    )
    opened = f"ctypes.CDLL({str(outside)!r}).outside()"
    assert "libouter.so.2: cannot open" in stack.start(f"told = {opened}").stderr
    code = "import dlcast\ndlcast.attach()\n" + ACTIVATE
    assert stack.run(f"{code}told = {opened}") == 43
    folder = f"sys.path.append({str(outside.parent)!r})\n"
    assert stack.run(f"{code}{folder}import another\ntold = another.answer()") == 42
    assert stack.run(f"{code}told = dlcast.load_global({str(outside)!r}).outside()") == 43


def test_what_is_not_to_be_loaded_is_not(stack):
    stack.typical()
    code = """
def opened(mode):
    try:
        ctypes.CDLL("libouter.so.2", mode=os.RTLD_NOW | mode)
    except OSError:
        return False
    return True
told = [opened(os.RTLD_NOLOAD), "libinner" in open("/proc/self/maps").read()]
told += [opened(0), opened(os.RTLD_NOLOAD)]
"""
    assert stack.run(ACTIVATE + code) == [False, False, True, True]


def test_what_an_object_finds_by_itself_is_left_to_it(stack):
    stack.typical()
    own = stack.build("app", "lib/libouter.so.2", "int needed(void) { return 7; }", soname="libouter.so.2")
    module = stack.root / "app" / PACKAGES / "native.so"
    module.unlink()
    stack.build("app", f"{PACKAGES}/native.so", layered.EXTENSION, own, flags=["-Wl,-rpath,$ORIGIN/../../.."])
    # Neither opened nor looked for in the layers below.
    code = ANSWER + "\ntold = [told, 'libinner' in open('/proc/self/maps').read()]"
    assert stack.run(ACTIVATE + code) == [7, False]


def test_the_users_own_variable_goes_first(stack):
    stack.typical()
    other = stack.build("app", "libouter.so.2", "int needed(void) { return 7; }", soname="libouter.so.2")
    assert stack.run(ACTIVATE + ANSWER, {"LD_LIBRARY_PATH": str(other.parent)}) == 7


def test_a_layer_goes_before_the_host(stack):
    # A library that every host has and Python has not loaded.
    host = "libmemusage.so"
    own = stack.build("framework", f"lib/{host}", "int needed(void) { return 7; }", soname=host)
    stack.build("app", f"{PACKAGES}/native.so", layered.EXTENSION, own)
    assert "undefined symbol: needed" in stack.start(ANSWER).stderr
    assert stack.run(ACTIVATE + ANSWER) == 7


def test_a_provider_that_cannot_be_opened_is_an_error_that_names_all_of_it(stack):
    stack.typical()
    outer = stack.root / "framework/lib/libouter.so.2"
    inner = stack.root / "runtime/lib/libinner.so.1"
    outer.unlink()
    text = "extern int inner(void), nowhere(void); int needed(void) { return inner() + nowhere(); }"
    stack.build("framework", "lib/libouter.so.2", text, inner, soname="libouter.so.2")
    code = """
try:
    import native
except ImportError as error:
    told = [error.name, error.path, str(error)]
"""
    name, path, text = stack.run(ACTIVATE + code)
    module = str(stack.root / "app" / PACKAGES / "native.so")
    assert [name, path] == ["native", module]
    start = (
        f"{module}: needs {outer} of layer `framework`, which cannot be opened: {outer}: undefined symbol: "
    )
    assert text == f"{start}nowhere"


def test_another_library_that_was_open_before_is_warned_of(stack):
    stack.typical()
    folder = stack.root / "elsewhere"
    folder.mkdir()
    other = stack.build(
        "elsewhere", "libouter.so.2", "int needed(void) { return 7; }", soname="libouter.so.2"
    )
    code = f"""
import warnings
opened = ctypes.CDLL({str(other)!r})
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    from native import answer
told = [answer(), *(str(warning.message) for warning in caught)]
"""
    answer, warning = stack.run(ACTIVATE + code)
    assert answer == 7
    assert f"but gets {other}, which was open before" in warning


def test_a_mistake_in_the_stack_is_an_error_and_may_be_mended(stack):
    stack.typical()
    code = """
good = open(stack).read()
open(stack, "w").write(good.replace("'runtime'", "'nowhere'", 1))
try:
    dlcast.layers.activate(stack)
except dlcast.layers.LayersError as error:
    print(error, file=sys.stderr)
open(stack, "w").write(good)
dlcast.layers.activate(stack)
dlcast.layers.activate(stack)
"""
    result = stack.start(code + ANSWER)
    assert result.stdout == "42\n"
    assert "nowhere" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.mpi
@pytest.mark.parametrize(
    ("ranks", "mode"), [(1, "collective"), (4, "collective"), (4, "service"), (4, "one")]
)
def test_one_rank_plans_and_every_rank_finds(stack, ranks, mode):
    stack.typical()
    needed = stack.root / "runtime/lib/libinner.so.1"
    text = "extern int inner(void); int extra(void) { return inner(); }"
    stack.build("framework", "lib/libextra.so.1", text, needed, soname="libextra.so.1")
    result = job.run("layers", ranks, str(stack.file), mode, modules=stack.root / "app" / PACKAGES)
    for told in result.good(ranks):
        assert (told["plans"] > 0) == (told["rank"] == 0)
        assert told["answer"] == 42
        assert told["found"] == (41 if mode == "collective" else None)
        assert told["again"] is None


@pytest.mark.mpi
@pytest.mark.parametrize("mode", ["collective", "service"])
def test_a_mistake_is_the_same_error_on_every_rank(stack, mode):
    stack.file.write_text("[[layer]]\nname = 'app'\npath = 'nowhere'\n")
    result = job.run("layers", 4, str(stack.file), mode, modules=stack.root)
    texts = {told["error"] for told in result.good(4)}
    [text] = texts
    assert str(stack.root / "nowhere") in text
    assert {tuple(map(tuple, told["failures"])) for told in result.said} == {((0, text),)}


def test_inside_an_import_where_mpi_is_up_it_is_refused(native, write, monkeypatch):
    from dlcast import layers

    monkeypatch.setattr(layers, "_mpi_is_up", lambda: True)
    write("activates.py", "import dlcast.layers\ndlcast.layers.activate('stack.toml')\n")
    import dlcast

    with pytest.raises(dlcast.SessionError, match="inside an import"):
        __import__("activates")
