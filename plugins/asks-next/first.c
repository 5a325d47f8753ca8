/* A plugin whose constructor asks for another one: whoever loads libfirst.so on every rank has libsecond.so on every rank as
   well, in the same call. Nothing here calls dlcast, and nothing waits: the request is an entry of the table, and the host
   takes it along after dlopen has returned.

       cc -shared -fPIC -o libfirst.so first.c        (dlcast_plugin.h on the include path)
       cc -shared -fPIC -o libsecond.so second.c

   A DT_NEEDED would load libsecond.so, too, but as an ordinary library: its table would not be read. */
#include <dlcast_plugin.h>

DLCAST_PLUGIN("first", "1.0");

/* In the folder of this very file, wherever that is on a rank. */
DLCAST_REQUEST_LIBRARY("$ORIGIN/libsecond.so", 0);

static uint64_t cells(void) { return 64; }
DLCAST_TASK(cells, "cells", "c:uint64_t()");
