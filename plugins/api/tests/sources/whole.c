/* Every macro of C, and a callback that makes the table grow while the plugin is in use. */
#include <dlcast_plugin.h>

DLCAST_PLUGIN("whole", "1.2");

static double half(double x) { return x / 2; }
static int twice(int x) { return 2 * x; }

DLCAST_TASK(half, "half", "c:double(double)");
DLCAST_TASK(twice, "twice", "c:int(int)");

static const dlcast_task_v1 more[] = {
    {"more half", "c:double(double)", (dlcast_function)half},
    {"more twice", "c:int(int)", (dlcast_function)twice},
};
DLCAST_TASKS(more);

/* Behind the array: a segment of its own again. */
DLCAST_TASK(half, "last", "c:double(double)");

static int32_t fails(const void *payload, size_t length, uint64_t tag, char *message, size_t capacity) {
  return dlcast_plugin_fail(message, capacity, "%.*s %d", (int)length, (const char *)payload, (int)tag);
}
DLCAST_CALLBACK(fails, "payload", 7, 3);

/* Adds as many tasks as the tag says. */
static int32_t grow(const void *payload, size_t length, uint64_t tag, char *message, size_t capacity) {
  (void)payload;
  (void)length;
  for (uint64_t number = 0; number < tag; ++number) {
    char name[32];
    int size = snprintf(name, sizeof name, "grown %d", (int)number);
    if (dlcast_plugin_add_task(dlcast_plugin_keep(name, (size_t)size), "c:double(double)", (dlcast_function)half))
      return dlcast_plugin_fail(message, capacity, "no memory");
  }
  return 0;
}
DLCAST_CALLBACK(grow, NULL, 0, 1000);

DLCAST_REQUEST_LIBRARY("$ORIGIN/libother.so", 2);
DLCAST_REQUEST_MODULE("package.module");
