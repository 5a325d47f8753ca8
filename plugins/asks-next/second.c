/* The plugin that first.c asks for. It asks back: a circle ends, because a library that is loaded, or on its way, is not loaded
   again. Its callback has run on every rank when the call that named libfirst.so returns. */
#include <dlcast_plugin.h>

DLCAST_PLUGIN("second", "1.0");

static uint64_t ready;

/* A constructor may decide what to ask for; it must decide the same on every rank, or the union is loaded. */
__attribute__((constructor)) static void construct(void) { dlcast_plugin_ask_library("$ORIGIN/libfirst.so", 0); }

static int32_t set_up(const void *payload, size_t length, uint64_t tag, char *message, size_t capacity) {
  (void)tag;
  if (length != sizeof ready) return dlcast_plugin_fail(message, capacity, "%zu bytes are no number", length);
  memcpy(&ready, payload, sizeof ready);
  return 0;
}
static const uint64_t number = 7;
DLCAST_CALLBACK(set_up, &number, sizeof number, 0);

static uint64_t is_ready(void) { return ready; }
DLCAST_TASK(is_ready, "is_ready", "c:uint64_t()");
