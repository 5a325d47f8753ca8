/* A very small task runtime: what the process has registered under a name. It knows nothing of dlcast, of MPI, or of other
   processes; what is registered here has never been sent anywhere.

   It is a library of its own (libruntime.so, a DT_NEEDED of both plugins), because a process must have one registry: what
   stands in a header, or in a plugin, is one a plugin. */
#ifndef RUNTIME_H
#define RUNTIME_H

#include <stdint.h>

#ifdef __cplusplus
#include <functional>

/* Which processor runs a task. A functor holds what it likes. 0, or -1 where the name is taken. */
int runtime_add_mapper(const char *name, std::function<uint32_t(uint64_t)> mapper);

extern "C" {
#endif

/* The processor of a task, as the mapper of that name says; UINT32_MAX where there is none. */
uint32_t runtime_place(const char *mapper, uint64_t task);

/* A reduction of MPI: the place of an MPI_Op, for as long as the process. 0, or -1 where the name is taken. */
int runtime_add_reduction(const char *name, void *op);

/* That place; null where there is none. */
void *runtime_reduction(const char *name);

#ifdef __cplusplus
}
#endif

#endif
