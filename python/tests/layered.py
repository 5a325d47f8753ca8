"""A stack of layers with small libraries in them, compiled on the fly."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path
from typing import Any

PACKAGES = f"lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"
EXTENSION = """
#include <Python.h>
extern int needed(void);
static PyObject *answer(PyObject *self, PyObject *none) { return PyLong_FromLong(needed()); }
static PyMethodDef methods[] = {{"answer", answer, METH_NOARGS, NULL}, {NULL, NULL, 0, NULL}};
static PyModuleDef module = {PyModuleDef_HEAD_INIT, "native", NULL, -1, methods, NULL, NULL, NULL, NULL};
PyMODINIT_FUNC PyInit_native(void) { return PyModule_Create(&module); }
"""


class Stack:
    """The layers `app`, over `framework`, over `runtime`."""

    def __init__(self, root: Path) -> None:
        """Without libraries."""
        self.root = root
        self.file = root / "stack.toml"
        names = ["app", "framework", "runtime"]
        text = ""
        for at, name in enumerate(names):
            (root / name / PACKAGES).mkdir(parents=True)
            (root / name / "bin").mkdir()
            (root / name / "bin" / "python").symlink_to(sys.executable)
            text += f"[[layer]]\nname = '{name}'\npath = '{name}'\nuses = {names[at + 1 :]}\n"
        self.file.write_text(text)

    def build(
        self,
        layer: str,
        file: str,
        source: str,
        *needs: Path,
        soname: str | None = None,
        flags: Sequence[str] = (),
    ) -> Path:
        """A library of a layer, which is linked with others, and would not find them."""
        path = self.root / layer / file
        written = self.root / f"{path.name}.c"
        written.write_text(source)
        name = [] if soname is None else [f"-Wl,-soname,{soname}"]
        include = f"-I{sysconfig.get_path('include')}"
        compiler = shutil.which("cc") or "gcc"
        command = [compiler, "-shared", "-fPIC", include, "-o", path, written, *name, *needs, *flags]
        # What those need in turn is not there to be linked with.
        subprocess.run([*command, "-Wl,--allow-shlib-undefined"], check=True)
        return path

    def typical(self) -> None:
        """The app has a module, which needs a library of the framework, which needs one of the runtime."""
        inner = self.build(
            "runtime", "lib/libinner.so.1", "int inner(void) { return 41; }", soname="libinner.so.1"
        )
        text = "extern int inner(void); int needed(void) { return inner() + 1; }"
        outer = self.build("framework", "lib/libouter.so.2", text, inner, soname="libouter.so.2")
        self.build("app", f"{PACKAGES}/native.so", EXTENSION, outer)

    def run(self, code: str, environment: dict[str, str] | None = None) -> Any:
        """Runs Python code in a fresh process of the app, and gives what it has assigned to `told`."""
        result = self.start(code, environment)
        assert result.returncode == 0, result.stderr
        return json.loads(result.stdout)

    def start(self, code: str, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Runs it, whatever comes of it."""
        return subprocess.run(
            [sys.executable, "-c", f"{BEGIN}{code}{END}"],
            env={**os.environ, **self.variables(), **(environment or {})},
            capture_output=True,
            text=True,
            timeout=60,
        )

    def variables(self) -> dict[str, str]:
        """Where the modules of the layers are."""
        folders = [str(self.root / layer / PACKAGES) for layer in ("app", "framework", "runtime")]
        return {"PYTHONPATH": os.pathsep.join(folders), "STACK": str(self.file)}


BEGIN = "import ctypes, json, os, sys\nimport dlcast.layers\nstack, told = os.environ['STACK'], None\n"
END = "\nprint(json.dumps(told))\n"
