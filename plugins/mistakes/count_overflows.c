/* Must fail: a count whose bytes are more than an address can say, so that a product would come out small.
   Must say: its requests are said to be 1152921504606846977, which is more than is readable at */
#include <dlcast_plugin.h>

static const dlcast_request_v1 requests[] = {{"libm.so.6", DLCAST_REQUEST_KIND_LIBRARY, 0}};
static const dlcast_list_v1 list = {requests, ((size_t)1 << 60) + 1, NULL};

const dlcast_table_v1 *dlcast_plugin_table_v1(void) {
  static const dlcast_table_v1 table = {DLCAST_PLUGIN_ABI, sizeof table, "count_overflows", "1.0", NULL, NULL, &list};
  return &table;
}
