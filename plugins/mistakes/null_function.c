/* Must fail: a task without a function.
   Must say: task 1: 0x0 is no function */
#include <dlcast_plugin.h>

DLCAST_PLUGIN("null_function", "1.0");

static void first(void) {}
static const dlcast_task_v1 tasks[] = {{"first", "c:void()", first}, {"second", "c:void()", NULL}};
DLCAST_TASKS(tasks);
