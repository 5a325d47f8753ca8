/* A libdlcast.so that does nothing but write down what it is told, in the file FAKE_LOG. FAKE_ANSWER is what it says to
   dlcast_preload_opened, FAKE_START to dlcast_preload_start, FAKE_VERSION its version. FAKE_FIRST is what it opens before any dlopen,
   FAKE_NAME a bare name that means the file FAKE_FILE. With FAKE_JOB it opens that library on a
   thread of its own, as a worker, while it starts. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void (*mark)(int32_t inside);
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void record(const char *format, ...) {
    const char *path = getenv("FAKE_LOG");
    if (!path) return;
    pthread_mutex_lock(&lock);
    FILE *log = fopen(path, "a");
    va_list arguments;
    va_start(arguments, format);
    vfprintf(log, format, arguments);
    va_end(arguments);
    fputc('\n', log);
    fclose(log);
    pthread_mutex_unlock(&lock);
}

static int number(const char *name, int otherwise) {
    const char *value = getenv(name);
    return value ? atoi(value) : otherwise;
}

static const char *words(int32_t flags) {
    return flags & RTLD_GLOBAL ? "global" : "local";
}

uint32_t dlcast_preload_version(void) { return number("FAKE_VERSION", 2); }
void dlcast_preload_early(const char *path, int32_t flags) { record("early %s %s", path, words(flags)); }
void dlcast_preload_opening(const char *name, int32_t flags) { record("opening %s %s", name, words(flags)); }
const char *dlcast_last_error(void) { return "failed on 1 of 2 ranks"; }
void dlcast_preload_stop(void) { record("stop"); }

const char *dlcast_preload_first(const char *name, int *refused) {
    const char *first = getenv("FAKE_FIRST"), *bare = getenv("FAKE_NAME");
    if (first && !dlopen(first, RTLD_NOW)) *refused = 1;
    dlsym(RTLD_DEFAULT, "nobody_defines_this");
    return bare && !strcmp(bare, name) ? getenv("FAKE_FILE") : NULL;
}

int32_t dlcast_preload_opened(const char *path, int32_t flags, int32_t may_wait) {
    record("opened %s %s %s", path, words(flags), may_wait ? "waits" : "does not wait");
    /* Like any code, it leaves an error behind now and then. */
    dlsym(RTLD_DEFAULT, "nobody_defines_this");
    return number("FAKE_ANSWER", 0);
}

int32_t dlcast_preload_forbidden(const char *call) {
    record("forbidden %s", call);
    return 42;
}

static void *work(void *path) {
    mark(1);
    if (!dlopen(path, RTLD_NOW)) record("job: %s", dlerror());
    mark(0);
    return NULL;
}

int32_t dlcast_preload_start(void (*given)(int32_t inside)) {
    record("start");
    mark = given;
    char *job = getenv("FAKE_JOB");
    pthread_t worker;
    if (job && !pthread_create(&worker, NULL, work, job)) pthread_join(worker, NULL);
    return number("FAKE_START", 0);
}
