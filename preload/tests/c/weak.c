/* No MPI here; opens libm, and asks by weak symbols for functions that came after MPI 3.1. */
#include <dlfcn.h>
#include <stdio.h>

__attribute__((weak)) int MPI_Bcast_c(void);
__attribute__((weak)) int MPI_Session_init(void);
__attribute__((weak)) int MPI_Initialized(int *flag);

int main(int argc, char **argv) {
    (void)argv;
    void *handle = dlopen("libm.so.6", RTLD_NOW);
    double (*cosine)(double) = (double (*)(double))dlsym(handle, "cos");
    printf("cos 0 = %g\n", cosine(0));
    printf("closed %d\n", dlclose(handle));
    printf("%d %d %d\n", MPI_Bcast_c != 0, MPI_Session_init != 0, MPI_Initialized != 0);
    return 40 + argc;
}
