/* Must fail: a callback that fails and does not say why. The number is all there is to tell.
   Must say: it returned -5 and said nothing */
#include <dlcast_plugin.h>

DLCAST_PLUGIN("callback_says_nothing", "1.0");

static int32_t run(const void *payload, size_t length, uint64_t tag, char *message, size_t capacity) {
  (void)payload, (void)length, (void)tag, (void)message, (void)capacity;
  return -5;
}
DLCAST_CALLBACK(run, "", 0, 0);
