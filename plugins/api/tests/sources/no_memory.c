/* A plugin that gets no memory while it registers has no table. */
#include <stddef.h>

extern void *no_memory(size_t size);
void *no_memory(size_t size) {
  (void)size;
  return NULL;
}

#include <stdlib.h>
#define malloc no_memory
#include <dlcast_plugin.h>

DLCAST_PLUGIN("no_memory", "1");

static int lost(int x) { return x; }
DLCAST_TASK(lost, "lost", "c:int(int)");
