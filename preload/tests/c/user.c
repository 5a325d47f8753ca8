/* A library that brings MPI along, as an extension module does. */
int MPI_Init(int *argc, char ***argv);
int MPI_Barrier(int comm);
int MPI_Finalize(void);

int use_mpi(void) { return MPI_Init(0, 0) + MPI_Barrier(0) + MPI_Finalize(); }
