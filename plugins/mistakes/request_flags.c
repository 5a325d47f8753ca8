/* Must fail: it asks for a library with a mode that dlopen does not have.
   Must say: request 0: dlopen flags 0x40000000 are unknown */
#include <dlcast_plugin.h>

DLCAST_PLUGIN("request_flags", "1.0");
DLCAST_REQUEST_LIBRARY("libm.so.6", 0x40000000);
