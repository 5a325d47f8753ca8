/* An MPI for one process: enough of it to come up and go down, in no time. It counts its calls. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WEAK __attribute__((weak))

int fake_inits, fake_level = -1;

int PMPI_Init_thread(int *argc, char ***argv, int required, int *provided) {
    (void)argc, (void)argv;
    fake_inits++;
    fake_level = required;
    *provided = getenv("FAKE_PROVIDES") ? atoi(getenv("FAKE_PROVIDES")) : required;
    return 0;
}
int PMPI_Init(int *argc, char ***argv) {
    int provided;
    const char *level = getenv("OMPI_MPI_THREAD_LEVEL");
    return PMPI_Init_thread(argc, argv, level ? atoi(level) : 0, &provided);
}
int PMPI_Finalize(void) { return 0; }
int PMPI_Barrier(int comm) {
    (void)comm;
    return 0;
}
/* More arguments than registers: all of them have to arrive. */
int PMPI_Alltoallw(const void *a, const int *b, const int *c, const int *d, void *e, const int *f, const int *g, const int *h, int comm) {
    const void *list[] = {a, b, c, d, e, f, g, h};
    long sum = comm;
    for (int i = 0; i < 8; i++) sum = 10 * sum + (long)list[i];
    return (int)sum;
}
WEAK int MPI_Init_thread(int *argc, char ***argv, int required, int *provided) { return PMPI_Init_thread(argc, argv, required, provided); }
WEAK int MPI_Init(int *argc, char ***argv) { return PMPI_Init(argc, argv); }
WEAK int MPI_Finalize(void) { return PMPI_Finalize(); }
WEAK int MPI_Barrier(int comm) { return PMPI_Barrier(comm); }
WEAK int MPI_Alltoallw(const void *a, const int *b, const int *c, const int *d, void *e, const int *f, const int *g, const int *h, int comm) {
    return PMPI_Alltoallw(a, b, c, d, e, f, g, h, comm);
}
