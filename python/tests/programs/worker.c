/* A rank without Python: it attaches, and then calls MPI only. Arguments: the names of a library and of an extension module. */
#include <mpi.h>
#include <stdio.h>
#include <string.h>

#include "dlcast.h"

static int maps(const char *name) {
  char line[4096];
  int found = 0;
  FILE *file = fopen("/proc/self/maps", "r");
  while (file != NULL && fgets(line, sizeof line, file) != NULL) found |= strstr(line, name) != NULL;
  if (file != NULL) fclose(file);
  return found;
}

int main(int argc, char **argv) {
  int provided, rank;
  if (argc != 3) return 2;
  MPI_Init_thread(&argc, &argv, MPI_THREAD_MULTIPLE, &provided);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  dlcast_session session;
  if (dlcast_attach(DLCAST_COMM_WORLD, DLCAST_SERVICE, 60, &session) != DLCAST_OK) {
    fprintf(stderr, "%s\n", dlcast_last_error());
    MPI_Abort(MPI_COMM_WORLD, 1);
  }
  MPI_Barrier(MPI_COMM_WORLD);
  char text[200];
  snprintf(text, sizeof text, "{\"rank\": %d, \"library\": %d, \"extension\": %d}\n", rank, maps(argv[1]), maps(argv[2]));
  fputs(text, stdout);
  fflush(stdout);
  MPI_Finalize();
  return 0;
}
