// The second translation unit: the same instance of a template, one more, and a task of its own.
#include <dlcast_plugin.h>

#include "scale.h"

template struct scale<double>;

namespace {
std::uint64_t second(std::uint64_t x) { return x; }
dlcast::task<&second> second_task{"second"};
}  // namespace

// Used, not instantiated by name.
void use_scale(std::int8_t *values);
void use_scale(std::int8_t *values) { scale<std::int8_t>::run(values, 1, 2); }
