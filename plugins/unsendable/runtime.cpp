// The registry of runtime.h.
#include "runtime.h"

#include <map>
#include <mutex>
#include <string>
#include <utility>

namespace {
std::mutex mutex;
std::map<std::string, std::function<uint32_t(uint64_t)>> mappers;
std::map<std::string, void *> reductions;
}  // namespace

int runtime_add_mapper(const char *name, std::function<uint32_t(uint64_t)> mapper) {
  const std::lock_guard<std::mutex> guard(mutex);
  return mappers.emplace(name, std::move(mapper)).second ? 0 : -1;
}

uint32_t runtime_place(const char *mapper, uint64_t task) {
  const std::lock_guard<std::mutex> guard(mutex);
  const auto found = mappers.find(mapper);
  return found == mappers.end() ? UINT32_MAX : found->second(task);
}

int runtime_add_reduction(const char *name, void *op) {
  const std::lock_guard<std::mutex> guard(mutex);
  return reductions.emplace(name, op).second ? 0 : -1;
}

void *runtime_reduction(const char *name) {
  const std::lock_guard<std::mutex> guard(mutex);
  const auto found = reductions.find(name);
  return found == reductions.end() ? nullptr : found->second;
}
