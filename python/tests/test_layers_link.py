"""`dlcast layers link` on environments with packages: what is a conflict, excluded, or hidden."""

from __future__ import annotations

from pathlib import Path

import environments
from environments import PACKAGES

PLAIN = "int answer(void) {{ return {}; }}"
MODULE = """
import ctypes
from pathlib import Path

answer = ctypes.CDLL(str(Path(__file__).with_name("{}"))).answer
"""


def package(layer: Path, name: str, library: str, answer: int) -> None:
    """A package whose Python opens its library by the folder that it is in."""
    environments.library(layer / PACKAGES / name / library, PLAIN.format(answer))
    (layer / PACKAGES / name / "__init__.py").write_text(MODULE.format(library))


def say(layer: Path, code: str) -> str:
    """What a program prints that the layer's Python runs."""
    return environments.run(layer / "bin" / "python", "-c", code)


def test_two_packages_with_one_soname_and_other_content_are_a_conflict(tmp_path):
    environments.make(tmp_path / "app", "openmpi", "tcmlib")
    refused = environments.link(environments.stack(tmp_path, "app"))
    assert refused.returncode == 1
    assert "layer `app`:\n  libhwloc.so.15\n" in refused.stderr
    for candidate in ("lib/openmpi/libhwloc.so.15", "lib/libhwloc.so.15"):
        assert f"    {candidate}" in refused.stderr
    assert "dynlib_exclude = [" in refused.stderr
    assert not (tmp_path / "app" / "share" / "venv").exists()

    exclude = {"app": ["openmpi/libhwloc.so.15"]}
    linked = environments.link(environments.stack(tmp_path, "app", exclude=exclude))
    assert linked.returncode == 0, linked.stderr
    dynlib = tmp_path / "app" / "share" / "venv" / "dynlib"
    assert (dynlib / "libhwloc.so.15").resolve().parent == tmp_path / "app" / "lib"
    # One file by all its names, and the MPI by the name that is asked for.
    assert len({(dynlib / name).resolve() for name in ("libtcm.so", "libtcm.so.1", "libtcm.so.1.6.0")}) == 1
    assert say(tmp_path / "app", "import ctypes; print(ctypes.CDLL('libmpi.so.40')._name)") == "libmpi.so.40"


def test_of_two_that_are_called_alike_an_exclude_picks_one(tmp_path):
    app = environments.make(tmp_path / "app")
    package(app, "one", "image.so", 1)
    package(app, "two", "image.so", 22)
    refused = environments.link(environments.stack(tmp_path, "app"))
    assert refused.returncode == 1
    assert "  image.so\n" in refused.stderr
    assert f"{PACKAGES}/one/image.so" in refused.stderr
    assert f"{PACKAGES}/two/image.so" in refused.stderr
    for left_out, answer in (("one/image.so", "22"), ("two/image.so", "1")):
        linked = environments.link(environments.stack(tmp_path, "app", exclude={"app": [left_out]}))
        assert linked.returncode == 0, linked.stderr
        assert say(app, "import ctypes; print(ctypes.CDLL('image.so').answer())") == answer
        # Each package has its own all the same.
        assert say(app, "import one, two; print(one.answer(), two.answer())") == "1 22"


def test_what_its_package_opens_by_itself_works_when_it_is_excluded(tmp_path):
    app, below = environments.make(tmp_path / "app"), environments.make(tmp_path / "below")
    package(app, "torchlike", "_C.so", 3)
    package(below, "other", "_C.so", 44)
    stack = environments.stack(tmp_path, "app", "below", exclude={"app": ["_C.so"]})
    assert environments.link(stack).returncode == 0
    assert not (app / "share/venv/dynlib/_C.so").exists()
    told = "import ctypes, torchlike; print(torchlike.answer(), ctypes.CDLL('_C.so').answer())"
    assert say(app, told) == "3 44"


def test_a_library_of_a_layer_below_is_found_and_its_shadow_is_told(tmp_path):
    app, below = environments.make(tmp_path / "app"), environments.make(tmp_path / "below")
    for layer, answer in ((app, 1), (below, 2)):
        environments.library(layer / "lib" / "libx.so.1.0", PLAIN.format(answer), soname="libx.so.1")
    environments.library(below / "lib" / "liby.so.1.0", PLAIN.format(3), soname="liby.so.1")
    linked = environments.link(environments.stack(tmp_path, "app", "below"))
    assert linked.returncode == 0, linked.stderr
    assert "shadowed: libx.so.1 in `app`: lib/libx.so.1.0 of `app` hides" in linked.stdout
    code = "import ctypes; print([ctypes.CDLL(name).answer() for name in ('libx.so.1', 'liby.so.1')])"
    assert (say(app, code), say(below, code)) == ("[1, 3]", "[2, 3]")
