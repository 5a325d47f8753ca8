/* Must fail: a name of 65,536 bytes, one more than DLCAST_NAME_MOST; the bound keeps the host from reading on for ever.
   Must say: task 0: its name does not end within 65535 bytes */
#include <dlcast_plugin.h>

DLCAST_PLUGIN("name_too_long", "1.0");

static void run(void) {}
static char name[DLCAST_NAME_MOST + 2];
__attribute__((constructor)) static void construct(void) {
  memset(name, 'a', DLCAST_NAME_MOST + 1);
  dlcast_plugin_add_task(name, "c:void()", run);
}
