/* Must fail: as many tasks on every rank, of the same names, but in another order on rank 1.
   Must say: plugin `differs_in_order` has registered 2 tasks here
   Must say: every rank must register the same tasks in the same order */
#include <dlcast_plugin.h>

DLCAST_PLUGIN("differs_in_order", "1.0");

static void run(void) {}

/* What launchers leave in the environment. */
static int rank(void) {
  static const char *const names[] = {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK"};
  for (size_t at = 0; at < sizeof names / sizeof names[0]; ++at) {
    if (getenv(names[at])) return atoi(getenv(names[at]));
  }
  return 0;
}

__attribute__((constructor)) static void construct(void) {
  int swapped = rank() == 1;
  dlcast_plugin_add_task(swapped ? "right" : "left", "c:void()", run);
  dlcast_plugin_add_task(swapped ? "left" : "right", "c:void()", run);
}
