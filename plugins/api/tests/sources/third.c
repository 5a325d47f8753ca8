/* The translation unit in C of a plugin that is in C++ otherwise. */
#include <dlcast_plugin.h>

static int third(int x) { return 3 * x; }
DLCAST_TASK(third, "third", "c:int(int)");
