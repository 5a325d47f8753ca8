// The first translation unit of a plugin: functions of all kinds as tasks, and what they throw.
#include <dlcast_plugin.h>

#include "scale.h"

#include <stdexcept>
#include <string>

#ifndef NAME
#define NAME "several"
#endif

DLCAST_PLUGIN(NAME, "2.0");

namespace {

double half(double x) { return x / 2; }
dlcast::task<&half> half_task{"half"};

constexpr auto increment = [](std::int32_t x) { return x + 1; };
dlcast::task<+increment> increment_task{"increment"};

void nothing() noexcept {}
dlcast::task<&nothing> nothing_task{"nothing"};

struct thrower {
  static bool thrown(std::int32_t what) {
#ifdef __cpp_exceptions
    switch (what) {
      case 0: throw std::runtime_error("n is zero");
      case 1: throw 42;
      case 2: throw "a literal";
      case 3: throw std::string("a string");
      case 4: throw thrower();
      case 5:
        try {
          try {
            throw std::out_of_range("cell 7");
          } catch (...) {
            std::throw_with_nested(std::runtime_error("row 3"));
          }
        } catch (...) {
          std::throw_with_nested(std::logic_error("grid"));
        }
      case 6: throw std::runtime_error(std::string(3000, 'x'));
      default: break;
    }
#endif
    return what < 0;
  }
};
dlcast::task<&thrower::thrown> thrown_task{"thrown"};

void viewed(std::string_view payload, std::uint64_t tag) {
#ifdef __cpp_exceptions
  if (tag == 1) throw std::runtime_error(std::string(payload));
#else
  (void)payload, (void)tag;
#endif
}
dlcast::callback<&viewed> viewed_callback{"viewed", 1};

void raw(const void *, std::size_t, std::uint64_t) {}
dlcast::callback<&raw> raw_callback{"raw\0payload", 11, 2};

std::int32_t plain(const void *, std::size_t length, std::uint64_t tag, char *message, std::size_t capacity) {
  return length == tag ? 0 : dlcast_plugin_fail(message, capacity, "%s", "as in C");
}
dlcast::callback<&plain> plain_callback;

// Two that do the same are two.
std::uint64_t ran = 0;
void count(const void *, std::size_t, std::uint64_t) { ++ran; }
void count_again(const void *, std::size_t, std::uint64_t) { ++ran; }
dlcast::callback<&count> count_callback{"", 4};
dlcast::callback<&count_again> count_again_callback{"", 4};

dlcast::request beside{"$ORIGIN/libbeside.so"};
dlcast::module_request module{"package.module"};

#if __cplusplus >= 202002L
dlcast::task<[](std::int32_t x) { return x + 2; }> by_two_task{"by two"};
#else
std::int32_t by_two(std::int32_t x) { return x + 2; }
dlcast::task<&by_two> by_two_task{"by two"};
#endif

}  // namespace

// The same instance as in the other translation unit, and one that only a member brings.
template struct scale<double>;

struct holder {
  scale<float> by_value;
  dlcast::request *never = nullptr;
};
std::size_t size_of_holder();
std::size_t size_of_holder() { return sizeof(holder); }
