/* Must load: a table with more than 1,024 tasks is not read at load, which takes no time per task; what is wrong with it is told
   by the first look-up by name. Tasks are found by id all the same, those that are whole.
   Look-up says: the plugin table of `large_null_function` cannot be used: task 1999: 0x0 is no function
   Registers: 2000 tasks */
#include <dlcast_plugin.h>

DLCAST_PLUGIN("large_null_function", "1.0");

static void run(void) {}
static char names[2000][8];
static dlcast_task_v1 tasks[2000];
DLCAST_TASKS(tasks);

__attribute__((constructor)) static void construct(void) {
  for (int at = 0; at < 2000; ++at) {
    snprintf(names[at], sizeof names[at], "t%d", at);
    tasks[at] = (dlcast_task_v1){names[at], "c:void()", at == 1999 ? NULL : run};
  }
}
