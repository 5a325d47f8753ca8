/* Must fail: it asks for something that is neither a library nor a module.
   Must say: request 0: kind 7 is unknown */
#include <dlcast_plugin.h>

static const dlcast_request_v1 requests[] = {{"libm.so.6", 7, 0}};
static const dlcast_list_v1 list = {requests, 1, NULL};

const dlcast_table_v1 *dlcast_plugin_table_v1(void) {
  static const dlcast_table_v1 table = {DLCAST_PLUGIN_ABI, sizeof table, "request_kind", "1.0", NULL, NULL, &list};
  return &table;
}
