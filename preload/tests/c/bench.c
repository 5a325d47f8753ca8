/* What a dlopen and dlclose through the shim cost over plain ones: pairs of batches in turn, and the median of their ratios. The
   library stays open, so that nothing is measured but the calls. Prints: name, ns plain, ns with the shim, ratio. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

int MPI_Init(int *argc, char ***argv);
int MPI_Finalize(void);

enum { PAIRS = 301, BATCH = 400 };

typedef void *(*open_t)(const char *, int);
typedef int (*close_t)(void *);

static double batch(open_t open, close_t close, const char *name) {
    struct timespec begin, end;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    for (int turn = 0; turn < BATCH; turn++) {
        void *handle = open(name, RTLD_NOW);
        if (!handle || close(handle)) abort();
    }
    clock_gettime(CLOCK_MONOTONIC, &end);
    return ((end.tv_sec - begin.tv_sec) * 1e9 + (end.tv_nsec - begin.tv_nsec)) / BATCH;
}

static int by_value(const void *one, const void *other) {
    double difference = *(const double *)one - *(const double *)other;
    return (difference > 0) - (difference < 0);
}

static double median(double *values) {
    qsort(values, PAIRS, sizeof *values, by_value);
    return values[PAIRS / 2];
}

int main(int argc, char **argv) {
    void *libc = dlopen("libc.so.6", RTLD_NOW);
    open_t plain_open = (open_t)dlsym(libc, "dlopen");
    close_t plain_close = (close_t)dlsym(libc, "dlclose");
    MPI_Init(&argc, &argv);
    for (int at = 1; at < argc; at++) {
        double plain[PAIRS], hooked[PAIRS], ratio[PAIRS];
        /* The place of the call counts for a bare name: the batches learn it, this keeps the library open. */
        if (!dlopen(argv[at], RTLD_NOW)) return 1;
        batch(dlopen, dlclose, argv[at]);
        for (int pair = 0; pair < PAIRS; pair++) {
            if (pair % 2) plain[pair] = batch(plain_open, plain_close, argv[at]);
            hooked[pair] = batch(dlopen, dlclose, argv[at]);
            if (pair % 2 == 0) plain[pair] = batch(plain_open, plain_close, argv[at]);
            ratio[pair] = hooked[pair] / plain[pair];
        }
        double middle = median(ratio);
        printf("%s: plain %.0f ns, with the shim %.0f ns, ratio %.3f\n", argv[at], median(plain), median(hooked), middle);
    }
    MPI_Finalize();
    return 0;
}
