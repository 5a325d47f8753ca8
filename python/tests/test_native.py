"""How the C header is read, and that importing the package loads nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import cffi

import dlcast
from dlcast._native import declarations

HEADER = """
/* A header as
   cbindgen writes it. */
#ifndef DLCAST_H
#define DLCAST_H
#include <stdint.h>

#define DLCAST_COMM_WORLD INT32_MIN
#define DLCAST_NEGATIVE -3 // why
#define DLCAST_HEX 0x10
#define DLCAST_TEXT "text"

enum dlcast_status
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus)
 {
  DLCAST_OK = 0,
};
#ifndef __cplusplus
typedef int32_t dlcast_status;
#else
typedef wrong
#endif

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

dlcast_status dlcast_sync(int64_t session, double timeout);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus
#endif  /* DLCAST_H */
"""


def test_the_header_is_read_as_c():
    ffi = cffi.FFI()
    ffi.cdef("\n".join(declarations(HEADER)))
    lib = ffi.dlopen(None)
    assert lib.DLCAST_OK == 0
    assert lib.DLCAST_COMM_WORLD == -(2**31)
    assert (lib.DLCAST_NEGATIVE, lib.DLCAST_HEX) == (-3, 16)
    assert not hasattr(lib, "DLCAST_TEXT")
    assert ffi.typeof("dlcast_status") is ffi.typeof("int32_t")


def test_a_library_that_could_be_found_and_is_not_loaded_is_no_crash(tmp_path):
    library = Path(dlcast.__file__).with_name("_lib") / "libdlcast.so"
    (tmp_path / "libdlcast.so.0").symlink_to(library)
    program = "from dlcast import _native; print(_native.native().lib.DLCAST_OK)"
    environment = {**os.environ, "LD_LIBRARY_PATH": str(tmp_path)}
    ran = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert (ran.returncode, ran.stdout.strip()) == (0, "0"), ran.stderr


def test_importing_the_package_loads_neither_mpi_nor_the_library():
    program = (
        "import dlcast; maps = open('/proc/self/maps').read(); assert 'libmpi' not in maps; "
        "import sys; assert 'libdlcast' not in maps and 'mpi4py' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_all_is_sorted_and_complete():
    import dlcast

    assert dlcast.__all__ == sorted(dlcast.__all__)
    assert all(hasattr(dlcast, name) for name in dlcast.__all__)
