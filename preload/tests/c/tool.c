/* A profiling tool: wraps MPI_Init, and with THREAD MPI_Init_thread too, and says how often. */
#include <stdio.h>

int PMPI_Init(int *argc, char ***argv);
int PMPI_Init_thread(int *argc, char ***argv, int required, int *provided);

int MPI_Init(int *argc, char ***argv) {
    printf("tool: MPI_Init\n");
    return PMPI_Init(argc, argv);
}
#ifdef THREAD
int MPI_Init_thread(int *argc, char ***argv, int required, int *provided) {
    printf("tool: MPI_Init_thread\n");
    return PMPI_Init_thread(argc, argv, required, provided);
}
#endif
