"""`dlcast layers scan` on the environment of these tests, whose wheels readelf and nm see the same way."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = str(Path(sys.executable).with_name("dlcast"))


def scanned(folder: Path, *arguments: str) -> dict:
    """What a scan finds in the stack of a folder."""
    command = [COMMAND, "layers", "scan", "--json", *arguments, str(folder)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, timeout=60).stdout)


@pytest.fixture(scope="module")
def layer(tmp_path_factory: pytest.TempPathFactory) -> dict:
    """The environment of the tests, scanned."""
    folder = tmp_path_factory.mktemp("stack")
    path = json.dumps(str(Path(sys.prefix)))
    (folder / "stack.toml").write_text(f'[[layer]]\nname = "tests"\npath = {path}\n')
    return scanned(folder)["layers"][0]


def tool(*command: str | Path) -> str:
    """What a tool of binutils prints."""
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


def dynamic(path: Path) -> dict:
    """The names in an object's dynamic section, by readelf."""
    section = tool("readelf", "--dynamic", "--wide", path)

    def values(tag: str) -> list[str]:
        return re.findall(rf"\({tag}\).*\[(.*)\]", section)

    return {
        "soname": next(iter(values("SONAME")), None),
        "needed": values("NEEDED"),
        "rpath": [folder for value in values("RPATH") for folder in value.split(":")],
        "runpath": [folder for value in values("RUNPATH") for folder in value.split(":")],
    }


def entries(path: Path) -> list[str]:
    """The entry points for Python that an object exports, by nm."""
    symbols = tool("nm", "--dynamic", "--defined-only", path)
    return re.findall(r" T (PyInit_\w+)$", symbols, re.MULTILINE)


def test_every_shared_object_is_found(layer: dict):
    root = Path(sys.prefix)
    inner = root / "second-mpi"
    there = {
        str(path.relative_to(root))
        for path in root.rglob("*.so*")
        if re.search(r"\.so(\.|$)", path.name) and not path.is_relative_to(inner)
    }
    found = {shared["path"] for shared in layer["objects"] if re.search(r"\.so(\.|$)", shared["path"])}
    assert len(there) > 100
    assert found == there


def test_objects_are_told_as_readelf_and_nm_tell_them(layer: dict):
    classes = set()
    for shared in layer["objects"]:
        path = Path(sys.prefix) / shared["path"]
        if shared["class"] == "neither":
            # What MPICH's wheel has for the linker.
            assert shared["reason"] == "linker_script", shared
            assert path.read_bytes().startswith(b"INPUT("), path
            continue
        assert shared["size"] == path.stat().st_size
        told = {name: shared[name] for name in ("soname", "needed", "rpath", "runpath")}
        assert told == dynamic(path), path
        # A program may be without symbols.
        if shared["class"] != "program":
            entry = next(iter(entries(path)), None)
            assert (shared["class"], shared["python_init"]) == ("extension" if entry else "library", entry)
        classes.add(shared["class"])
    assert classes == {"extension", "library", "program"}


def test_names_do_not_decide(layer: dict):
    classes = {Path(shared["path"]).name: shared["class"] for shared in layer["objects"]}
    # One dot too many for a list of suffixes.
    assert classes["MPI.openmpi.cpython-311-x86_64-linux-gnu.so"] == "extension"
    blas = [name for name in classes if name.startswith("libscipy_openblas")]
    assert blas
    assert {classes[name] for name in blas} == {"library"}


def test_only_candidates_are_opened_and_little_of_them_is_read(layer: dict):
    counts = layer["counts"]
    objects = layer["objects"]
    programs = len(list((Path(sys.prefix) / "bin").iterdir()))
    assert counts["listed"] > 3000
    assert counts["opened"] <= len(objects) + programs
    assert counts["read"] < sum(shared["size"] for shared in objects) / 8
