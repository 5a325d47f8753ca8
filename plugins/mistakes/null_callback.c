/* Must fail: a callback without a function.
   Must say: callback 0: 0x0 is no function */
#include <dlcast_plugin.h>

DLCAST_PLUGIN("null_callback", "1.0");
DLCAST_CALLBACK(NULL, "", 0, 0);
