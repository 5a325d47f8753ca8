/* Must fail: a plugin without a name, by which its tasks would be found.
   Must say: its name is a null pointer */
#include <dlcast_plugin.h>

DLCAST_PLUGIN(NULL, "1.0");
