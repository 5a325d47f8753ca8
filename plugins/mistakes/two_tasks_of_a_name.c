/* Must fail: two tasks with one name: which of them would a caller get?
   Must say: two tasks are named `step` */
#include <dlcast_plugin.h>

DLCAST_PLUGIN("two_tasks_of_a_name", "1.0");

static double once(double x) { return x; }
static double twice(double x) { return x + x; }
DLCAST_TASK(once, "step", "c:double(double)");
DLCAST_TASK(twice, "step", "c:double(double)");
