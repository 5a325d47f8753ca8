/* Must fail: a plugin's name is a name, not a path.
   Must say: its name `solvers/heat` is empty or has a slash */
#include <dlcast_plugin.h>

DLCAST_PLUGIN("solvers/heat", "1.0");
