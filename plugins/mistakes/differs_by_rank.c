/* Must fail: the constructor looks at which rank it is in, so that the table of rank 1 is another one: index 1 would mean `only`
   there and nothing elsewhere. A plugin registers the same tasks in the same order on every rank.
   Must say: plugin `differs_by_rank` has registered 1 tasks here
   Must say: plugin `differs_by_rank` has registered 2 tasks here
   Must say: every rank must register the same tasks in the same order */
#include <dlcast_plugin.h>

DLCAST_PLUGIN("differs_by_rank", "1.0");

static void run(void) {}
DLCAST_TASK(run, "everywhere", "c:void()");

/* What launchers leave in the environment. */
static int rank(void) {
  static const char *const names[] = {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK"};
  for (size_t at = 0; at < sizeof names / sizeof names[0]; ++at) {
    if (getenv(names[at])) return atoi(getenv(names[at]));
  }
  return 0;
}

__attribute__((constructor)) static void construct(void) {
  if (rank() == 1) dlcast_plugin_add_task("only", "c:void()", run);
}
