/* Must fail: it asks for a module by a name that no module can have. Nothing else of the round may suffer for it.
   Must say: `heat..plots` is not the absolute name of a module */
#include <dlcast_plugin.h>

DLCAST_PLUGIN("request_module", "1.0");
DLCAST_REQUEST_MODULE("heat..plots");
