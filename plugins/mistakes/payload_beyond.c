/* Must fail: a payload that is said to be longer than the memory behind it.
   Must say: callback 0: its payload of 1099511627776 bytes is not readable */
#include <dlcast_plugin.h>

static int32_t run(const void *payload, size_t length, uint64_t tag, char *message, size_t capacity) {
  (void)payload, (void)length, (void)tag, (void)message, (void)capacity;
  return 0;
}
static const dlcast_callback_v1 callbacks[] = {{run, "few", (size_t)1 << 40, 0}};
static const dlcast_list_v1 list = {callbacks, 1, NULL};

const dlcast_table_v1 *dlcast_plugin_table_v1(void) {
  static const dlcast_table_v1 table = {DLCAST_PLUGIN_ABI, sizeof table, "payload_beyond", "1.0", NULL, &list, NULL};
  return &table;
}
