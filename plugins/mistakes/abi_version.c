/* Must fail: the table is of another version of the layout, so that nothing behind its first two words can be read.
   Must say: it has ABI version 2, and this dlcast reads version 1: build the plugin with this dlcast's dlcast_plugin.h */
#include <dlcast_plugin.h>

const dlcast_table_v1 *dlcast_plugin_table_v1(void) {
  static const dlcast_table_v1 table = {2, sizeof table, "abi_version", "1.0", NULL, NULL, NULL};
  return &table;
}
