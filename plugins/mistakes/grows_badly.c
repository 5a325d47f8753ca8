/* Must load: what callbacks add is checked when a task is first looked up by name, as a large table is.
   Look-up says: the plugin table of `grows_badly` cannot be used: task 1: its name is a null pointer
   Registers: 2 tasks */
#include <dlcast_plugin.h>

DLCAST_PLUGIN("grows_badly", "1.0");

static void run(void) {}
DLCAST_TASK(run, "first", "c:void()");

static int32_t grow(const void *payload, size_t length, uint64_t tag, char *message, size_t capacity) {
  (void)payload, (void)length, (void)tag, (void)message, (void)capacity;
  dlcast_plugin_add_task(NULL, "c:void()", run);
  return 0;
}
DLCAST_CALLBACK(grow, "", 0, 0);
