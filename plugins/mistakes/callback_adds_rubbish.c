/* Must fail: what a callback adds is checked, too: here a callback without a function.
   Must say: callback 1: 0x0 is no function */
#include <dlcast_plugin.h>

DLCAST_PLUGIN("callback_adds_rubbish", "1.0");

static int32_t run(const void *payload, size_t length, uint64_t tag, char *message, size_t capacity) {
  (void)payload, (void)length, (void)tag, (void)message, (void)capacity;
  dlcast_plugin_add_callback(NULL, "", 0, 1);
  return 0;
}
DLCAST_CALLBACK(run, "", 0, 0);
