/* A program that does what its arguments say, and prints what came of it.

     init | fini                 MPI_Init, MPI_Finalize
     thread LEVEL                MPI_Init_thread
     open FLAGS NAME             dlopen; FLAGS of l(azy) n(ow) g(lobal) o(noload) d(eepbind), NAME may be NULL
     via FLAGS NAME              the same, by the last opened library that exports caller_open
     import NAME                 the same, inside a function of CPython's name
     close | call SYMBOL         of the last handle
     symbol NAME                 dlsym
     error                       dlerror
     objects                     what is loaded, in order
     cd FOLDER | print VARIABLE | sh COMMAND
     fork                        the rest happens in a child
     barrier | alltoallw | inits of the fake MPI */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef WITHOUT_MPI
#define MPI_Init(argc, argv) -1
#define MPI_Init_thread(argc, argv, required, provided) -1
#define MPI_Finalize() -1
#define MPI_Barrier(comm) -1
#define MPI_Alltoallw(a, b, c, d, e, f, g, h, comm) -1
#else
int MPI_Init(int *argc, char ***argv);
int MPI_Init_thread(int *argc, char ***argv, int required, int *provided);
int MPI_Finalize(void);
int MPI_Barrier(int comm);
int MPI_Alltoallw(const void *a, const int *b, const int *c, const int *d, void *e, const int *f, const int *g, const int *h, int comm);
#endif

static void *handles[64];
static int count;

static int flags_of(const char *letters) {
    int flags = 0;
    for (; *letters; letters++)
        flags |= *letters == 'l'   ? RTLD_LAZY
                 : *letters == 'n' ? RTLD_NOW
                 : *letters == 'g' ? RTLD_GLOBAL
                 : *letters == 'o' ? RTLD_NOLOAD
                                   : RTLD_DEEPBIND;
    return flags;
}

static void opened(const char *name, void *handle) {
    if (!handle) {
        printf("%s: failed: %s\n", name ? name : "NULL", dlerror());
        return;
    }
    struct link_map *map;
    if (dlinfo(handle, RTLD_DI_LINKMAP, &map)) abort();
    const char *error = dlerror();
    printf("%s: %s%s%s\n", name ? name : "NULL", map->l_name, error ? ", and " : "", error ? error : "");
    handles[count++] = handle;
}

static void objects(void) {
    struct link_map *map = dlopen(NULL, RTLD_LAZY);
    for (; map; map = map->l_next)
        if (!strstr(map->l_name, "libdlcast")) printf("  %s\n", map->l_name);
}

/* Stands for CPython's, inside which nothing may wait. */
void *PyImport_ImportModuleLevelObject(const char *name);
__attribute__((noinline)) void *PyImport_ImportModuleLevelObject(const char *name) {
    void *handle = dlopen(name, RTLD_NOW);
    __asm__ volatile("" ::: "memory");
    return handle;
}

int main(int argc, char **argv) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (char **word = argv + 1; word < argv + argc; word++) {
        void *last = count ? handles[count - 1] : NULL;
        if (!strcmp(*word, "init")) {
            printf("init: %d\n", MPI_Init(&argc, &argv));
        } else if (!strcmp(*word, "thread")) {
            int provided = -1, code = MPI_Init_thread(&argc, &argv, atoi(*++word), &provided);
            printf("thread: %d, provided %d\n", code, provided);
        } else if (!strcmp(*word, "fini")) {
            printf("fini: %d\n", MPI_Finalize());
        } else if (!strcmp(*word, "barrier")) {
            printf("barrier: %d\n", MPI_Barrier(0));
        } else if (!strcmp(*word, "alltoallw")) {
            printf("alltoallw: %d\n", MPI_Alltoallw((void *)1, (void *)2, (void *)3, (void *)4, (void *)5, (void *)6, (void *)7, (void *)8, 9));
        } else if (!strcmp(*word, "inits")) {
            int *inits = dlsym(RTLD_DEFAULT, "fake_inits"), *level = dlsym(RTLD_DEFAULT, "fake_level");
            printf("inits: %d, level %d\n", *inits, *level);
        } else if (!strcmp(*word, "open")) {
            int flags = flags_of(*++word);
            const char *name = strcmp(*++word, "NULL") ? *word : NULL;
            opened(name, dlopen(name, flags));
        } else if (!strcmp(*word, "via")) {
            int flags = flags_of(*++word);
            void *(*open)(const char *, int) = NULL;
            for (int at = count; at-- && !open;) open = (void *(*)(const char *, int))dlsym(handles[at], "caller_open");
            const char *name = *++word;
            opened(name, open(name, flags));
        } else if (!strcmp(*word, "import")) {
            const char *name = *++word;
            opened(name, PyImport_ImportModuleLevelObject(name));
        } else if (!strcmp(*word, "close")) {
            printf("close: %d\n", dlclose(last));
            count--;
        } else if (!strcmp(*word, "call")) {
            int (*function)(void) = (int (*)(void))dlsym(last, *++word);
            if (function)
                printf("%s() = %d\n", *word, function());
            else
                printf("%s: %s\n", *word, dlerror());
        } else if (!strcmp(*word, "symbol")) {
            printf("symbol: %s\n", dlsym(RTLD_DEFAULT, *++word) ? "there" : "missing");
        } else if (!strcmp(*word, "error")) {
            const char *error = dlerror();
            printf("error: %s\n", error ? error : "none");
        } else if (!strcmp(*word, "objects")) {
            objects();
        } else if (!strcmp(*word, "cd")) {
            printf("cd: %d\n", chdir(*++word));
        } else if (!strcmp(*word, "print")) {
            const char *value = getenv(*++word);
            printf("%s=%s\n", *word, value ? value : "(not set)");
        } else if (!strcmp(*word, "sh")) {
            if (system(*++word)) printf("sh: failed\n");
        } else if (!strcmp(*word, "fork")) {
            pid_t child = fork();
            if (child) {
                waitpid(child, NULL, 0);
                return 0;
            }
        } else {
            fprintf(stderr, "driver: what is %s?\n", *word);
            return 2;
        }
    }
    return 0;
}
