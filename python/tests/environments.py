"""Environments for the tests of layers. Packages from PyPI are installed once, and kept in target."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).parents[2]
PINNED = Path(__file__).with_name("requirements-layers.txt")
KEPT = ROOT / "target" / "layers"
COMMAND = str(Path(sys.executable).with_name("dlcast"))
PACKAGES = f"lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"

# What an environment has without any package.
BARE = ("pyvenv.cfg", "lib64", "bin/python*", "bin/*ctivate*")


def make(folder: Path, *packages: str) -> Path:
    """A new environment with these packages, and with nothing that they need in turn."""
    venv.create(folder, symlinks=True)
    for package in packages:
        _copy(_kept(package), folder)
    return folder


def stack(root: Path, *layers: str, exclude: dict[str, list[str]] | None = None) -> Path:
    """A stack.toml of the layers in `root`; each uses all that come after it."""
    text = ""
    for at, layer in enumerate(layers):
        globs = (exclude or {}).get(layer, [])
        text += f"[[layer]]\nname = {layer!r}\npath = {layer!r}\nuses = {list(layers[at + 1 :])}\n"
        text += f"dynlib_exclude = {globs}\n"
    file = root / "stack.toml"
    file.write_text(text)
    return file


def link(stack: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Runs `dlcast layers link`, whatever comes of it."""
    command = [COMMAND, "layers", "link", *options, str(stack)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def run(program: Path, *arguments: str | Path, environment: dict[str, str] | None = None) -> str:
    """What a program prints, by default in an empty environment."""
    done = subprocess.run(
        [program, *arguments], env=environment or {}, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def library(path: Path, source: str, *flags: str, soname: str | None = None) -> Path:
    """Compiles a shared library."""
    path.parent.mkdir(parents=True, exist_ok=True)
    written = path.with_suffix(".c")
    written.write_text(source)
    name = [] if soname is None else [f"-Wl,-soname,{soname}"]
    include = f"-I{sysconfig.get_path('include')}"
    subprocess.run(["cc", "-shared", "-fPIC", include, "-o", path, written, *name, *flags], check=True)
    written.unlink()
    return path


def _kept(package: str) -> Path:
    pins = [line for line in PINNED.read_text().splitlines() if line.startswith(f"{package}==")]
    assert len(pins) == 1, f"{PINNED} must pin {package}"
    folder = KEPT / f"{sys.implementation.cache_tag}-{pins[0].split()[0]}"
    if not folder.exists():
        # Under another name until it is complete.
        begun = KEPT / f".{folder.name}-{os.getpid()}"
        venv.create(begun, symlinks=True)
        wanted = begun / "wanted.txt"
        wanted.write_text(pins[0])
        pip = [
            sys.executable,
            "-m",
            "pip",
            "--disable-pip-version-check",
            "--quiet",
            "--python",
            begun / "bin/python",
        ]
        only = ["--no-deps", "--only-binary=:all:", "--require-hashes", "--requirement", wanted]
        subprocess.run([*pip, "install", "--disable-pip-version-check", *only], check=True)
        wanted.unlink()
        begun.rename(folder)
    return folder


def _copy(package: Path, to: Path) -> None:
    def bare(folder: str, names: list[str]) -> list[str]:
        inside = Path(folder).relative_to(package)
        return [name for name in names if any(fnmatch(str(inside / name), glob) for glob in BARE)]

    shutil.copytree(package, to, symlinks=True, dirs_exist_ok=True, ignore=bare)
