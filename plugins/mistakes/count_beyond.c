/* Must fail: a list that is said to be longer than the memory behind it: a count that was never set, or a pointer to another
   list.
   Must say: its tasks are said to be 1099511627776, which is more than is readable at */
#include <dlcast_plugin.h>

static void run(void) {}
static const dlcast_task_v1 tasks[] = {{"run", "c:void()", run}};
static const dlcast_list_v1 list = {tasks, (size_t)1 << 40, NULL};

const dlcast_table_v1 *dlcast_plugin_table_v1(void) {
  static const dlcast_table_v1 table = {DLCAST_PLUGIN_ABI, sizeof table, "count_beyond", "1.0", &list, NULL, NULL};
  return &table;
}
