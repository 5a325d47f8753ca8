/* Must fail: it asks for a library that is nowhere, and a plugin is undone with what it asked for.
   Must say: it asks for `libdlcast_nowhere.so`: library `libdlcast_nowhere.so` not found */
#include <dlcast_plugin.h>

DLCAST_PLUGIN("request_missing", "1.0");
DLCAST_REQUEST_LIBRARY("libdlcast_nowhere.so", 0);
