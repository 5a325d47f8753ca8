/* Eight threads open and close the same and different libraries a hundred times each: libt0.so to libt3.so by bare names. */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

int MPI_Init(int *argc, char ***argv);
int MPI_Finalize(void);

static void *work(void *number) {
    long first = (long)number, sum = 0;
    for (int turn = 0; turn < 100; turn++) {
        char name[32];
        snprintf(name, sizeof name, "libt%ld.so", (first + turn) % 4);
        void *handle = dlopen(name, RTLD_NOW);
        if (!handle) {
            printf("%s\n", dlerror());
            exit(1);
        }
        int (*value)(void) = (int (*)(void))dlsym(handle, "value");
        sum += value();
        if (dlclose(handle)) exit(2);
    }
    return (void *)sum;
}

int main(int argc, char **argv) {
    pthread_t threads[8];
    long sum = 0;
    MPI_Init(&argc, &argv);
    for (long at = 0; at < 8; at++) pthread_create(&threads[at], NULL, work, (void *)at);
    for (int at = 0; at < 8; at++) {
        void *one;
        pthread_join(threads[at], &one);
        sum += (long)one;
    }
    /* What is still loaded now was closed once too rarely. */
    for (int at = 0; at < 4; at++) {
        char name[32];
        snprintf(name, sizeof name, "libt%d.so", at);
        printf("%s %s\n", name, dlopen(name, RTLD_NOW | RTLD_NOLOAD) ? "stays" : "is gone");
    }
    fprintf(stderr, "sum %ld\n", sum);
    MPI_Finalize();
    return 0;
}
