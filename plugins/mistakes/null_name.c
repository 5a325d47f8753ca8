/* Must fail: a task without a name.
   Must say: task 0: its name is a null pointer */
#include <dlcast_plugin.h>

DLCAST_PLUGIN("null_name", "1.0");

static void run(void) {}
DLCAST_TASK(run, NULL, "c:void()");
