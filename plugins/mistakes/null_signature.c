/* Must fail: a task without a signature: "" says that there is nothing to say.
   Must say: task 0: its signature is a null pointer */
#include <dlcast_plugin.h>

DLCAST_PLUGIN("null_signature", "1.0");

static void run(void) {}
DLCAST_TASK(run, "run", NULL);
