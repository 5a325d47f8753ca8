/* Must load: a plugin without anything but its name.
   Registers: 0 tasks */
#include <dlcast_plugin.h>

DLCAST_PLUGIN("no_tasks", "1.0");
