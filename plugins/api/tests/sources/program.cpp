// Not a plugin: code that hands out guards, and registers nothing, needs no DLCAST_PLUGIN.
#include <dlcast_plugin.h>

static double half(double x) { return x / 2; }
static void setup(std::string_view, std::uint64_t) {}

extern "C" dlcast_function guarded_half(const char **signature);
extern "C" dlcast_function guarded_half(const char **signature) {
  *signature = dlcast::guard<&half>::signature;
  return dlcast::guard<&half>::function();
}

extern "C" dlcast_callback guarded_setup(void);
extern "C" dlcast_callback guarded_setup(void) { return &dlcast::callback_guard<&setup>::call; }
