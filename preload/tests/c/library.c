/* A library: value() tells which one it is. With NESTED, its constructor opens that; with CALLS, it uses another's function; with
   CALLER, it exports its own dlopen; QUIET, it prints nothing. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>

static void *nested;

static void say(const char *what) {
#ifdef QUIET
    (void)what;
#else
    printf("%s %d\n", what, VALUE);
#endif
}

#ifdef CALLS
int CALLS(void);
int relay(void) { return CALLS(); }
#endif

#ifdef NAME
int NAME(void) { return VALUE; }
#endif

int value(void) { return VALUE; }

#ifdef CALLER
void *caller_open(const char *name, int flags) { return dlopen(name, flags); }
#endif

__attribute__((constructor)) static void up(void) {
    say("up");
#ifdef NESTED
    nested = dlopen(NESTED, RTLD_NOW);
    if (!nested) printf("nested: %s\n", dlerror());
#endif
}
__attribute__((destructor)) static void down(void) {
    say("down");
    if (nested) dlclose(nested);
}
