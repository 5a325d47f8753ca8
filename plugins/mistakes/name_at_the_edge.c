/* Must fail: a name without its end in the last bytes of the memory that can be read; what follows must not be touched.
   Must say: task 0: its name does not end */
#include <dlcast_plugin.h>
#include <sys/mman.h>
#include <unistd.h>

DLCAST_PLUGIN("name_at_the_edge", "1.0");

static void run(void) {}
__attribute__((constructor)) static void construct(void) {
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  char *pages = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (pages == MAP_FAILED) abort();
  memset(pages, 'a', page);
  mprotect(pages + page, page, PROT_NONE);
  dlcast_plugin_add_task(pages + page - 5, "c:void()", run);
}
