/* Must fail: a task whose function is a variable.
   Must say: is no function */
#include <dlcast_plugin.h>

DLCAST_PLUGIN("function_is_data", "1.0");

static int value;
__attribute__((constructor)) static void construct(void) {
  dlcast_plugin_add_task("value", "c:void()", (dlcast_function)(uintptr_t)&value);
}
