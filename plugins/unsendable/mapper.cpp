// A mapper: a functor that holds a std::vector, which no message could carry. What travels is the payload, a table of weights;
// the callback makes the functor of it in every process, and hands it to the runtime of that process.
//
//     c++ -std=c++17 -shared -fPIC -o libruntime.so runtime.cpp
//     c++ -std=c++17 -shared -fPIC -o libmapper.so mapper.cpp libruntime.so -Wl,-rpath,'$ORIGIN'
//
// One rank registers `make_mapper` with dlcast_register_global or dlcast_record_code; the others may know nothing of it.
#include <dlcast_plugin.h>

#include "runtime.h"

#include <stdexcept>
#include <string>
#include <vector>

DLCAST_PLUGIN("mapper", "1.0");

namespace {

/// Gives each processor as many tasks in turn as its weight says.
class weighted {
 public:
  weighted(const std::uint32_t *weights, std::size_t count) {
    for (std::size_t processor = 0; processor < count; ++processor) {
      turns_.insert(turns_.end(), weights[processor], static_cast<std::uint32_t>(processor));
    }
    if (turns_.empty()) throw std::invalid_argument("a mapper needs a processor with a weight");
  }

  std::uint32_t operator()(std::uint64_t task) const { return turns_[task % turns_.size()]; }

 private:
  std::vector<std::uint32_t> turns_;
};

/// The payload is an array of uint32_t, lent during the call; the tag tells one mapper from another.
void make(std::string_view payload, std::uint64_t tag) {
  std::vector<std::uint32_t> weights(payload.size() / sizeof(std::uint32_t));
  if (weights.size() * sizeof(std::uint32_t) != payload.size()) throw std::invalid_argument("no table of weights");
  if (!weights.empty()) std::memcpy(weights.data(), payload.data(), payload.size());
  const std::string name = "weighted " + std::to_string(tag);
  if (runtime_add_mapper(name.c_str(), weighted(weights.data(), weights.size())) != 0) {
    throw std::runtime_error("the runtime has a mapper `" + name + "` already");
  }
}

/// The same question as runtime_place, for those who have no header of the runtime.
std::uint32_t place(const char *mapper, std::uint64_t task) { return runtime_place(mapper, task); }
dlcast::task<&place> place_task{"place"};

}  // namespace

// Under a name that programs can register; guarded, so that what it throws becomes the message.
extern "C" __attribute__((visibility("default"))) std::int32_t make_mapper(const void *payload, std::size_t length,
                                                                          std::uint64_t tag, char *message,
                                                                          std::size_t capacity) {
  return dlcast::callback_guard<&make>::call(payload, length, tag, message, capacity);
}
