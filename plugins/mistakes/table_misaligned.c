/* Must fail: the table is where no table can be: its pointers would lie across words.
   Must say: which is no place for a table */
#include <dlcast_plugin.h>

static _Alignas(8) unsigned char bytes[sizeof(dlcast_table_v1) + 8];

const dlcast_table_v1 *dlcast_plugin_table_v1(void) {
  static const dlcast_table_v1 table = {DLCAST_PLUGIN_ABI, sizeof table, "table_misaligned", "1.0", NULL, NULL, NULL};
  memcpy(bytes + 4, &table, sizeof table);
  return (const dlcast_table_v1 *)(const void *)(bytes + 4);
}
