/* Must fail: the table ends before its lists. A larger one is fine: what a later version adds stands at the end.
   Must say: it has 24 bytes instead of 48 */
#include <dlcast_plugin.h>

const dlcast_table_v1 *dlcast_plugin_table_v1(void) {
  static const dlcast_table_v1 table = {DLCAST_PLUGIN_ABI, 24, "table_size", "1.0", NULL, NULL, NULL};
  return &table;
}
