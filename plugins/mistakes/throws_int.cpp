// Must fail: a callback that throws a number. The wrapper of dlcast::callback catches it: it never reaches the host, which
// could not.
// Must say: int: 42
#include <dlcast_plugin.h>

DLCAST_PLUGIN("throws_int", "1.0");

static void run(std::string_view, std::uint64_t) { throw 42; }
static dlcast::callback<&run> registered;
