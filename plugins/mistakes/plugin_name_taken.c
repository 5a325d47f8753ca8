/* Must fail: tasks are found by the names of plugin and task, and another plugin that is loaded has this name.
   Must say: plugin `good` is loaded already, from libgood.so: unload that one first, or rename this one */
#include <dlcast_plugin.h>

DLCAST_PLUGIN("good", "2.0");

static int32_t answer(void) { return 43; }
DLCAST_TASK(answer, "answer", "c:int32_t()");
