/* Must fail: a task whose name is empty: nobody could ask for it.
   Must say: task 0: its name is empty */
#include <dlcast_plugin.h>

DLCAST_PLUGIN("empty_name", "1.0");

static void run(void) {}
DLCAST_TASK(run, "", "c:void()");
