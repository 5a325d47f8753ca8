// A class template whose instances register themselves.
#pragma once

#include <dlcast_plugin.h>

#include <string>

template <class T> struct scale : dlcast::registers<scale<T>> {
  static std::string task_name() { return "scale<" + std::string(dlcast::type_name<T>()) + ">"; }
  static void run(T *values, std::uint64_t count, T by) {
    for (std::uint64_t at = 0; at < count; ++at) values[at] = static_cast<T>(values[at] * by);
  }
};
