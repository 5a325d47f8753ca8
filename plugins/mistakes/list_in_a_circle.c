/* Must fail: a chain whose last segment leads to the first: it has no end.
   Must say: its tasks are in more than 65536 pieces, or in a circle */
#include <dlcast_plugin.h>

static void run(void) {}
static const dlcast_task_v1 tasks[] = {{"run", "c:void()", run}};
static dlcast_list_v1 last, first = {tasks, 1, &last};

const dlcast_table_v1 *dlcast_plugin_table_v1(void) {
  static const dlcast_table_v1 table = {DLCAST_PLUGIN_ABI, sizeof table, "list_in_a_circle", "1.0", &first, NULL, NULL};
  last.next = &first;
  return &table;
}
