/* A C program that embeds Python and asks for imports itself: Python's own thread does them, and both use the one
   libdlcast that the host brought. Arguments: a folder of modules. */
#include <Python.h>
#include <mpi.h>
#include <stdio.h>

#include "dlcast.h"

int main(int argc, char **argv) {
  char text[4096];
  MPI_Init(&argc, &argv);
  int rank;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  Py_Initialize();
  snprintf(text, sizeof text, "import sys; sys.path.insert(0, '%s'); import dlcast; dlcast.serve_imports()", argv[1]);
  if (PyRun_SimpleString(text) != 0) MPI_Abort(MPI_COMM_WORLD, 2);
  PyThreadState *python = PyEval_SaveThread();

  dlcast_session session;
  int32_t attached = dlcast_attach(DLCAST_COMM_WORLD, DLCAST_COLLECTIVE, -1, &session);
  int32_t good = dlcast_import_global(session, "good", 20);
  int32_t bad = dlcast_import_global(session, "nowhere_to_be_found", 20);

  PyEval_RestoreThread(python);
  snprintf(text, sizeof text,
           "maps = {line.split()[-1] for line in open('/proc/self/maps') if 'libdlcast' in line}\n"
           "from dlcast import sync\n"
           "print('{\"rank\": %d, \"statuses\": [%d, %d, %d], \"copies\": %%d, \"imported\": %%d, \"rounds\": %%d}'"
           " %% (len(maps), 'good' in sys.modules, sync().rounds), flush=True)",
           rank, attached, good, bad);
  PyRun_SimpleString(text);
  Py_Finalize();
  MPI_Finalize();
  return 0;
}
