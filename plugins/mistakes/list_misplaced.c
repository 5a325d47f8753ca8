/* Must fail: a chain that leads to where nothing is mapped.
   Must say: its callbacks are a list at 0x1000, which is not readable */
#include <dlcast_plugin.h>

static const dlcast_list_v1 first = {NULL, 0, (const dlcast_list_v1 *)0x1000};

const dlcast_table_v1 *dlcast_plugin_table_v1(void) {
  static const dlcast_table_v1 table = {DLCAST_PLUGIN_ABI, sizeof table, "list_misplaced", "1.0", NULL, &first, NULL};
  return &table;
}
