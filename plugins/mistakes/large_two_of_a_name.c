/* Must load: as large_null_function.c, with two tasks of one name.
   Look-up says: the plugin table of `large_two_of_a_name` cannot be used: two tasks are named `t0`
   Registers: 2000 tasks */
#include <dlcast_plugin.h>

DLCAST_PLUGIN("large_two_of_a_name", "1.0");

static void run(void) {}
static char names[2000][8];
static dlcast_task_v1 tasks[2000];
DLCAST_TASKS(tasks);

__attribute__((constructor)) static void construct(void) {
  for (int at = 0; at < 2000; ++at) {
    snprintf(names[at], sizeof names[at], "t%d", at % 1999);
    tasks[at] = (dlcast_task_v1){names[at], "c:void()", run};
  }
}
