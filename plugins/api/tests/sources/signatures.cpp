// One function for each way of passing something; the test has the same list in Rust.
#include <dlcast_plugin.h>

DLCAST_PLUGIN("signatures", "1");

struct grid;
enum class color { red };

namespace {

template <class Result, class... Arguments> Result function(Arguments...) { return Result(); }

#define TASK(name, ...) dlcast::task<&function<__VA_ARGS__>> name##_task{#name}
TASK(nothing, void);
TASK(integers, std::int64_t, std::int8_t, std::int16_t, std::int32_t);
TASK(naturals, std::uint64_t, std::uint8_t, std::uint16_t, std::uint32_t);
TASK(reals, double, float, double);
TASK(longs, long long, long, unsigned long, unsigned long long, int, unsigned, short, unsigned short);
TASK(truth, bool, bool, const bool *);
TASK(sizes, std::size_t, std::ptrdiff_t, const std::size_t *);
TASK(characters, char, signed char, unsigned char, const char *);
TASK(pointers, const double *, double *, const double *, float *const *, const float **);
TASK(unknown, void *, const void *, grid *, const grid *, color *, double (*)[3]);
TASK(eight, void, double, double, double, double, double, double, double, const double *const *);

}  // namespace
