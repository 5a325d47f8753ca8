/* Must fail: the name of a task is "für" in Latin-1; names travel, and are shown, as UTF-8.
   Must say: task 0: its name is not UTF-8 (invalid utf-8 sequence of 1 bytes from index 1) */
#include <dlcast_plugin.h>

DLCAST_PLUGIN("name_not_utf8", "1.0");

static void run(void) {}
DLCAST_TASK(run, "f\xfcr", "c:void()");
