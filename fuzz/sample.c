/* A library with most of what a linker can put into one: fuzzing begins with it, and the tests of the ELF reader damage it. With
   -DMORE it has an entry point for Python and a constructor. */
#include <errno.h>
extern int puts(const char *), printf(const char *, ...);
extern char **environ;
__thread int counter = 5;
__thread int zero[4];
int data[64] = {1, 2, 3};
int *pointers[20] = {data, data + 1, data + 2};
void *table[] = {(void *)puts, (void *)printf, &environ, data};
int v1(void) { counter++; return puts("x"); }
int v2(void) { return zero[1] + printf("%d", errno); }
static int hidden(void) { return 1; }
int (*functions[])(void) = {v1, v2, hidden};
char bss[10000];
extern void weakling(void) __attribute__((weak));
void *weak = (void *)weakling;
#ifdef MORE
void *PyInit_sample(void) { return 0; }
static volatile int n;
__attribute__((constructor)) static void begin(void) { n++; }
#endif
