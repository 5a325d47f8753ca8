/* Reductions that MPI does not have. An MPI_Op is a handle of one process and cannot be sent: what travels is the payload, which
   says which one is wanted, and every process makes its own.

       mpicc -shared -fPIC -o libreductions.so reductions.c libruntime.so -Wl,-rpath,'$ORIGIN'

   A callback may call what MPI does locally, such as MPI_Op_create. It must not communicate: the other ranks may not be there,
   and the program's communicators are the program's. */
#include <dlcast_plugin.h>
#include <math.h>
#include <mpi.h>

#include "runtime.h"

DLCAST_PLUGIN("reductions", "1.0");

/* Whichever is farther from zero, with its sign. */
static void farthest(void *in, void *inout, int *count, MPI_Datatype *type) {
  const double *left = in;
  double *right = inout;
  (void)type;
  for (int at = 0; at < *count; ++at) {
    if (fabs(left[at]) > fabs(right[at])) right[at] = left[at];
  }
}

/* The length of the vector that all have together. */
static void together(void *in, void *inout, int *count, MPI_Datatype *type) {
  const double *left = in;
  double *right = inout;
  (void)type;
  for (int at = 0; at < *count; ++at) right[at] = sqrt(left[at] * left[at] + right[at] * right[at]);
}

static const struct {
  const char *name;
  MPI_User_function *function;
} known[] = {{"farthest", farthest}, {"together", together}};

/* The payload is the name of a reduction. The op is registered under that name. Exported: a program registers it. */
int32_t make_reduction(const void *payload, size_t length, uint64_t tag, char *message, size_t capacity) {
  (void)tag;
  for (size_t at = 0; at < sizeof known / sizeof known[0]; ++at) {
    if (strlen(known[at].name) != length || memcmp(known[at].name, payload, length) != 0) continue;
    MPI_Op *op = malloc(sizeof *op);
    if (!op || MPI_Op_create(known[at].function, 1, op) != MPI_SUCCESS) {
      free(op);
      return dlcast_plugin_fail(message, capacity, "MPI made no op of `%s`", known[at].name);
    }
    /* From here on the op belongs to the process. */
    if (runtime_add_reduction(known[at].name, op) != 0) {
      return dlcast_plugin_fail(message, capacity, "the runtime has a reduction `%s` already", known[at].name);
    }
    return 0;
  }
  return dlcast_plugin_fail(message, capacity, "no reduction is named `%.*s`", (int)length, (const char *)payload);
}
