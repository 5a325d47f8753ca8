/* Must load: a name of exactly DLCAST_NAME_MOST bytes; and a table that is larger than this version's.
   Registers: 1 tasks */
#include <dlcast_plugin.h>

static void run(void) {}
static char name[DLCAST_NAME_MOST + 1];
static dlcast_task_v1 tasks[] = {{name, "", run}};
static const dlcast_list_v1 list = {tasks, 1, NULL};
static const struct {
  dlcast_table_v1 table;
  const char *later;
} larger = {{DLCAST_PLUGIN_ABI, sizeof larger, "longest_name", "1.0", &list, NULL, NULL}, "of a later version"};

const dlcast_table_v1 *dlcast_plugin_table_v1(void) {
  memset(name, 'a', DLCAST_NAME_MOST);
  return &larger.table;
}
