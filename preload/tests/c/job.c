/* What an engine's worker opens: its constructor calls MPI with a communicator. */
#include <stdio.h>

int MPI_Barrier(int comm);

__attribute__((constructor)) static void up(void) { printf("job: MPI_Barrier gives %d\n", MPI_Barrier(0)); }
