"""Fixtures of the tests that need no MPI: a folder of modules, and a native layer that only remembers."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fake import FakeNative

from dlcast import _native, _session
from dlcast._parking import parking


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], Path]]:
    """Writes modules into a folder that is on sys.path; they are forgotten afterwards."""
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)
    finders = list(sys.meta_path)

    def write(file: str, text: str = "") -> Path:
        path = tmp_path / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
        return path

    yield write
    for name in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]
    parking._modules.clear()
    sys.meta_path[:] = finders


@pytest.fixture
def native(monkeypatch: pytest.MonkeyPatch) -> FakeNative:
    """In place of libdlcast.so, which has no session yet."""
    for name in ("_sessions", "_attached", "_pending"):
        monkeypatch.setattr(_session, name, {})
    fake = FakeNative()
    monkeypatch.setattr(_native, "native", lambda: fake)
    return fake
