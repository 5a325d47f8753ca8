"""The wrapper that `dlcast layers link` makes is, to Python and its tools, the Python of its layer."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import environments
import pytest

NAMES = ["python", "python3", f"python3.{sys.version_info[1]}"]
WHAT = "import json, sys; print(json.dumps([sys.executable, sys.prefix, sys.base_prefix, sys.version]))"
# Only the layer below has it, and only by the variable.
ANSWER = "import ctypes; print(ctypes.CDLL('libanswer.so.1').answer())"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A stack of `app` over `below`, linked."""
    environments.make(tmp_path / "app")
    below = environments.make(tmp_path / "below")
    environments.library(
        below / "lib" / "libanswer.so.1", "int answer(void) { return 42; }", soname="libanswer.so.1"
    )
    linked = environments.link(environments.stack(tmp_path, "app", "below"))
    assert linked.returncode == 0, linked.stderr
    return tmp_path


def python(root: Path, *arguments: str, **environment: str) -> str:
    return environments.run(root / "app" / "bin" / "python", *arguments, environment=environment)


def what(program: Path) -> list[str]:
    told: list[str] = json.loads(environments.run(program, "-c", WHAT))
    return told


@pytest.mark.parametrize("name", NAMES)
def test_python_knows_itself_by_the_wrapper_and_its_layer(root, name):
    app = root / "app"
    executable, prefix, base, version = what(app / "bin" / name)
    assert (executable, prefix) == (str(app / "bin" / "python"), str(app))
    # As without the wrapper.
    plain = json.loads(environments.run(app / "bin" / "python_", "-c", WHAT))
    assert (base, version) == (plain[2], plain[3])
    assert base == sys.base_prefix


def test_a_link_from_elsewhere_starts_the_layer(root):
    (root / "link").symlink_to("app/bin/python3")
    assert what(root / "link")[:2] == [str(root / "app/bin/python"), str(root / "app")]


def test_python_has_the_same_settings_as_without(root):
    code = (
        "import sys, sysconfig, site, json; print(json.dumps([sys.path, sysconfig.get_paths(), sys.flags]))"
    )
    app = root / "app" / "bin"
    assert environments.run(app / "python", "-c", code) == environments.run(app / "python_", "-c", code)


def test_an_environment_made_by_the_layer_is_one_of_its_own(root):
    python(root, "-m", "venv", "--without-pip", str(root / "made"))
    executable, prefix, base, _ = what(root / "made" / "bin" / "python")
    assert (executable, prefix) == (str(root / "made/bin/python"), str(root / "made"))
    assert base == sys.base_prefix


def install(installation: Path) -> None:
    """An installation of Python, as venvstacks' runtime is one, with a library that only it has."""
    name = NAMES[-1]
    (installation / "bin").mkdir(parents=True)
    shutil.copy2(Path(sys._base_executable).resolve(), installation / "bin" / name)
    for link in ("python", "python3"):
        (installation / "bin" / link).symlink_to(name)
    for folder in ("lib", "include"):
        (installation / folder).mkdir()
    standard = Path(os.__file__).parent
    (installation / "lib" / standard.name).mkdir()
    for entry in standard.iterdir():
        if entry.name != "site-packages":
            (installation / "lib" / standard.name / entry.name).symlink_to(entry)
    (installation / "lib" / standard.name / "site-packages").mkdir()
    for library in (Path(sys.base_prefix) / "lib").glob("libpython*"):
        (installation / "lib" / library.name).symlink_to(library)
    environments.library(
        installation / "lib" / "libanswer.so.1", "int answer(void) { return 42; }", soname="libanswer.so.1"
    )


def test_an_environment_of_a_layer_that_is_an_installation_is_one_of_its_own(tmp_path):
    """Its `python` becomes a wrapper, its `python3` does not."""
    installation = tmp_path / "installation"
    install(installation)
    linked = environments.link(environments.stack(tmp_path, "installation"))
    assert linked.returncode == 0, linked.stderr
    assert what(installation / "bin" / "python")[:3] == [
        str(installation / "bin/python"),
        str(installation),
        str(installation),
    ]
    assert what(installation / "bin" / "python3")[1] == str(installation)
    for by in ("python", "python3"):
        made = tmp_path / f"by-{by}"
        environments.run(installation / "bin" / by, "-m", "venv", "--without-pip", made)
        executable, prefix, base, _ = what(made / "bin" / by)
        assert (executable, prefix) == (str(made / "bin" / by), str(made))
        assert base == str(installation)
    # By the name of the wrapper, its libraries are there, too.
    assert environments.run(tmp_path / "by-python" / "bin" / "python", "-c", ANSWER) == "42"


def test_an_environment_of_copies_is_one_of_its_own(tmp_path):
    """What is copied is the wrapper, which the installation's `python` is."""
    installation = tmp_path / "installation"
    install(installation)
    assert environments.link(environments.stack(tmp_path, "installation")).returncode == 0
    made = tmp_path / "made"
    environments.run(installation / "bin/python", "-m", "venv", "--copies", "--without-pip", made)
    for name in NAMES:
        executable, prefix, base, _ = what(made / "bin" / name)
        assert (executable, prefix, base) == (str(made / "bin" / name), str(made), str(installation))
    # And so is one that it makes in turn.
    for option in ("--copies", "--symlinks"):
        again = tmp_path / option
        environments.run(made / "bin/python3", "-m", "venv", option, "--without-pip", again)
        assert what(again / "bin/python")[:3] == [str(again / "bin/python"), str(again), str(installation)]


def wheel(folder: Path, name: str) -> Path:
    """A package with a script."""
    path = folder / f"{name}-1-py3-none-any.whl"
    info = f"{name}-1.dist-info"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(f"{name}.py", f"def main():\n    {ANSWER}\n")
        file.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
        text = "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        file.writestr(f"{info}/WHEEL", text)
        file.writestr(f"{info}/entry_points.txt", f"[console_scripts]\n{name} = {name}:main\n")
        file.writestr(f"{info}/RECORD", "")
    return path


def test_pip_installs_into_the_layer_and_its_scripts_start_the_wrapper(root):
    # The layer borrows pip, and nothing else.
    spec = importlib.util.find_spec("pip")
    assert spec
    assert spec.origin
    borrowed = root / "borrowed"
    borrowed.mkdir()
    (borrowed / "pip").symlink_to(Path(spec.origin).parent)
    bin = root / "app" / "bin"
    install = ["-m", "pip", "install", "--no-index", "--no-cache-dir", "--disable-pip-version-check"]
    for name, program in (("before", bin / "python_"), ("after", bin / "python")):
        environments.run(program, *install, wheel(root, name), environment={"PYTHONPATH": str(borrowed)})
    assert (bin / "after").read_text().splitlines()[0] == f"#!{bin}/python"
    # A script that was there before the wrapper names some Python of the layer.
    script = bin / "before"
    for name in NAMES:
        lines = script.read_text().splitlines()
        script.write_text("\n".join([f"#!{bin}/{name}", *lines[1:]]))
        assert environments.run(script) == "42"
    assert environments.run(bin / "after") == "42"
    # What pip has changed is nothing that has to be linked again.
    assert "bin/python as it was" in environments.link(root / "stack.toml").stdout


@pytest.mark.parametrize("method", ["spawn", "forkserver", "fork"])
def test_processes_of_multiprocessing_find_the_libraries(root, method):
    (root / "jobs.py").write_text(
        "import ctypes, multiprocessing, sys\n"
        "def answer(_):\n    return ctypes.CDLL('libanswer.so.1').answer(), sys.executable\n"
        "if __name__ == '__main__':\n"
        "    with multiprocessing.get_context(sys.argv[1]).Pool(2) as pool:\n"
        "        print(pool.map(answer, range(2)))\n"
    )
    expected = [(42, str(root / "app/bin/python"))] * 2
    assert python(root, str(root / "jobs.py"), method) == str(expected)


def test_a_child_with_an_empty_environment_finds_the_libraries(root):
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {ANSWER!r}], env={{}}, check=True)"
    assert python(root, "-c", code) == "42"


def test_a_python_started_by_another_layers_python_has_its_own_libraries(tmp_path):
    code = "import ctypes; print(chr(ctypes.CDLL('libwho.so.1').who()))"
    for name in "ab":
        environments.make(tmp_path / f"app{name}")
        layer = environments.make(tmp_path / f"fw{name}")
        source = f"int who(void) {{ return '{name}'; }}"
        environments.library(layer / "lib" / "libwho.so.1", source, soname="libwho.so.1")
    file = environments.stack(tmp_path, "appa", "appb", "fwa", "fwb")
    uses = {"appa": ["fwa"], "appb": ["fwb"], "fwa": [], "fwb": []}
    file.write_text(
        "".join(
            f"[[layer]]\nname = {name!r}\npath = {name!r}\nuses = {below}\n" for name, below in uses.items()
        )
    )
    assert environments.link(file).returncode == 0
    outer, inner = (tmp_path / name / "bin" / "python" for name in ("appa", "appb"))
    start = f"import subprocess; subprocess.run([{str(inner)!r}, '-c', {code!r}], check=True)"
    assert [environments.run(python, "-c", code) for python in (outer, inner)] == ["a", "b"]
    assert environments.run(outer, "-c", start) == "b"


def test_nothing_but_the_variable_is_new_in_the_environment(root):
    code = "import os, json; print(json.dumps(dict(os.environ)))"
    given = {
        "LC_ALL": "C.UTF-8",
        "PATH": "/nowhere",
        "SHLVL": "1",
        "PWD": os.getcwd(),
        "LD_LIBRARY_PATH": "/mine",
    }
    told: dict[str, Any] = json.loads(python(root, "-c", code, **given))
    folders = [str(root / layer / "share/venv/dynlib") for layer in ("app", "below")]
    assert told == {**given, "LD_LIBRARY_PATH": ":".join(["/mine", *folders])}


def test_a_hundred_nested_starts_leave_the_variable_as_two_do(root):
    code = (
        "import os, sys\n"
        "left = int(sys.argv[1])\n"
        "layer = ('app', 'below')[left % 2]\n"
        "path = os.environ['LD_LIBRARY_PATH']\n"
        f"next = f'{root}/{{layer}}/bin/python'\n"
        "os.execv(next, [next, sys.argv[0], str(left - 1)]) if left else print(path)\n"
    )
    (root / "nested.py").write_text(code)
    twice = python(root, str(root / "nested.py"), "1", LD_LIBRARY_PATH="/mine")
    for starts in ("99", "100"):
        assert python(root, str(root / "nested.py"), starts, LD_LIBRARY_PATH="/mine") == twice


def test_a_stack_that_was_moved_works(root):
    moved = root / "somewhere" / "else"
    moved.mkdir(parents=True)
    for layer in ("app", "below"):
        (root / layer).rename(moved / layer)
    (root / "stack.toml").rename(moved / "stack.toml")
    assert python(moved, "-c", ANSWER) == "42"
    assert what(moved / "app/bin/python3")[:2] == [str(moved / "app/bin/python"), str(moved / "app")]
    # There is nothing to link again.
    linked = environments.link(moved / "stack.toml")
    assert linked.stdout.count("bin/python as it was") == 2, linked.stdout + linked.stderr


def test_a_stack_that_was_moved_with_its_runtime_works_when_it_is_linked_again(tmp_path):
    here, there = tmp_path / "here", tmp_path / "there"
    install(here / "runtime")
    environments.run(here / "runtime/bin/python", "-m", "venv", "--without-pip", here / "app")
    linked = environments.link(environments.stack(here, "app", "runtime"))
    assert linked.returncode == 0, linked.stderr
    assert what(here / "app/bin/python")[1:3] == [str(here / "app"), str(here / "runtime")]
    here.rename(there)
    # Python would take the standard library from wherever it was built for, without a word.
    python = there / "app/bin/python"
    refused = subprocess.run([python, "-c", WHAT], env={}, capture_output=True, text=True, timeout=60)
    assert refused.returncode == 126
    assert f"home in {there}/app/pyvenv.cfg is {here}/runtime/bin, which is not there" in refused.stderr
    for renewed in (1, 0):
        linked = environments.link(there / "stack.toml")
        assert linked.stdout.count("bin/python renewed") == renewed, linked.stdout + linked.stderr
        assert what(python)[:3] == [str(python), str(there / "app"), str(there / "runtime")]
        assert environments.run(python, "-c", ANSWER) == "42"
    # A copy does not take it from what it is a copy of.
    shutil.copytree(there, here, symlinks=True)
    assert environments.link(here / "stack.toml").returncode == 0
    assert what(here / "app/bin/python")[2] == str(here / "runtime")


def test_names_that_shells_take_for_something_else(tmp_path):
    root = tmp_path / 'it\'s $HOME `id` *[a-z]? "quoted" \\ new\nline'
    root.mkdir()
    environments.make(root / "app")
    below = environments.make(root / "below & more")
    environments.library(
        tmp_path / "libanswer.so.1", "int answer(void) { return 42; }", soname="libanswer.so.1"
    )
    shutil.move(tmp_path / "libanswer.so.1", below / "lib")
    linked = environments.link(environments.stack(root, "app", "below & more"))
    assert linked.returncode == 0, linked.stderr
    assert python(root, "-c", ANSWER) == "42"
    assert what(root / "app/bin/python")[:2] == [str(root / "app/bin/python"), str(root / "app")]


def test_upgrading_the_environment_is_mended_by_linking_again(root):
    app = root / "app"
    base = Path(sys._base_executable)
    subprocess.run([base, "-m", "venv", "--upgrade", "--without-pip", app], check=True)
    linked = environments.link(root / "stack.toml")
    assert linked.returncode == 0, linked.stderr
    for name in NAMES:
        assert what(app / "bin" / name)[:2] == [str(app / "bin/python"), str(app)]
        assert environments.run(app / "bin" / name, "-c", ANSWER) == "42"
