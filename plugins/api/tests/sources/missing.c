/* A plugin without DLCAST_PLUGIN does not link. */
#include <dlcast_plugin.h>

static int lost(int x) { return x; }
DLCAST_TASK(lost, "lost", "c:int(int)");
