/* A program of a real MPI: a broadcast, a library that only rank 0 opens, and what the program sees of its thread level. */
#include <dlfcn.h>
#include <mpi.h>
#include <stdio.h>

int main(int argc, char **argv) {
    int rank, level, value = 0, provided = -1;
    if (argc > 1)
        MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &provided);
    else
        MPI_Init(&argc, &argv);
    MPI_Query_thread(&level);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    if (rank == 0) {
        void *handle = dlopen("./libx.so", RTLD_NOW);
        int (*function)(void) = handle ? (int (*)(void))dlsym(handle, "value") : 0;
        value = function ? function() : -1;
    }
    MPI_Bcast(&value, 1, MPI_INT, 0, MPI_COMM_WORLD);
    printf("rank %d: %d, level %s, provided %s\n", rank, value, level == MPI_THREAD_MULTIPLE ? "multiple" : "less",
           provided == -1 ? "not asked" : provided >= MPI_THREAD_FUNNELED ? "enough" : "too little");
    MPI_Finalize();
    return 0;
}
