"""Builds the Rust libraries and the `dlcast` command, and puts them into the wheel with the C headers."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_NEEDS_REPOSITORY = """\
dlcast compiles a Rust library that is not part of the source distribution.
Check the repository out and install from there: pip install ./python"""
_NEEDS_CARGO = "cargo was not found: install Rust (https://rustup.rs), then try again"


class CustomBuildHook(BuildHookInterface[Any]):
    """Runs cargo in the repository that holds this folder."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Adds the native files; `version` is "editable" for `pip install -e`."""
        repository = Path(self.root).parent
        if not (repository / "Cargo.toml").is_file():
            raise RuntimeError(_NEEDS_REPOSITORY)
        if shutil.which("cargo") is None:
            raise RuntimeError(_NEEDS_CARGO)
        built = _cargo_build(repository, self.metadata.version)
        folder = Path(self.root, "dlcast", "_lib")
        headers = (repository / "include" / name for name in ("dlcast.h", "dlcast_plugin.h"))
        libraries = (built / "libdlcast.so", built.parent / "preload" / "libdlcast_preload.so")
        for file in (*libraries, built / "dlcast", *headers):
            _put(file, folder)
            build_data["force_include"][str(folder / file.name)] = f"dlcast/_lib/{file.name}"
        build_data["pure_python"] = False
        build_data["tag"] = "py3-none-" + sysconfig.get_platform().replace("-", "_").replace(".", "_")


def _cargo_build(repository: Path, version: str) -> Path:
    """Compiles, with cargo's progress on stderr, and gives the folder of what was built."""
    query = ["cargo", "metadata", "--locked", "--no-deps", "--format-version=1"]
    answer = json.loads(subprocess.run(query, cwd=repository, check=True, stdout=subprocess.PIPE).stdout)
    crate = next(package for package in answer["packages"] if package["name"] == "dlcast")
    if crate["version"] != version:
        raise RuntimeError(f"the crate is dlcast {crate['version']}, but the Python package says {version}")
    debug = os.environ.get("DLCAST_PROFILE", "release") == "debug"
    command = ["cargo", "build", "--locked", "--package=dlcast", "--lib", "--bins"]
    subprocess.run(command + ([] if debug else ["--release"]), cwd=repository, check=True, stdout=sys.stderr)
    # The shim has a profile of its own, without unwinding and the standard library.
    shim = ["cargo", "build", "--locked", "--package=dlcast-preload", "--profile=preload"]
    subprocess.run(shim, cwd=repository, check=True, stdout=sys.stderr)
    # cargo's own answer honours CARGO_TARGET_DIR and its configuration files.
    return Path(answer["target_directory"], "debug" if debug else "release")


def _put(file: Path, folder: Path) -> None:
    """Copies in one step: a running process may have the old file mapped."""
    folder.mkdir(exist_ok=True)
    fresh = folder / f".{file.name}.new"
    shutil.copy2(file, fresh)
    os.replace(fresh, folder / file.name)
