/* dlcast: what a plugin says about itself. C11 or C++17; a header is all there is: nothing to link against.

   A plugin is a shared library with a table: tasks (functions that it names), callbacks (functions to be run once in every
   process) and requests (libraries and Python modules that it wants loaded on every rank). The table fills itself while
   the library's constructors run, the host reads it through one exported function after dlopen has returned, and every
   rank that loads the plugin reads the same.

       #include <dlcast_plugin.h>

       DLCAST_PLUGIN("heat", "1.2");

       static double step(double x, uint64_t n) { return x / (double)n; }
       DLCAST_TASK(step, "step", "c:double(double,uint64_t)");

   or, in C++, where signatures are derived and exceptions caught:

       static double step(double x, std::uint64_t n) { return x / static_cast<double>(n); }
       static dlcast::task<&step> step_task{"step"};      // signature "(f64,u64)->f64"

   Compile it with -fPIC -shared, and with -fvisibility=hidden or -Wl,-Bsymbolic if it has exported functions of its own.
   Under RTLD_GLOBAL the first exported function of a name is everybody's (ELF interposition), so that a task could run
   the function of another plugin, without a word; so do instances of a template (task<&f>, registers<kernel<T>>) that two
   plugins call alike. Static functions and anonymous namespaces are safe without options; under RTLD_LOCAL everything is.

   What is collective: nothing here. Adding to the table calls nothing of dlcast, sends nothing and waits for nobody; that
   is why a constructor may do it, under the loader's lock. The load that reads the table is what all ranks do together.

   Who may add, and when: constructors of the plugin (the macros, and static objects in C++, do), and its callbacks while
   they run, from the thread that runs them. Adding from two threads at once is a data race, and what is added when no
   callback runs is not seen before the next round reads the table.

   Lifetimes: names, signatures and functions live as long as the plugin: literals do. dlcast never unmaps a plugin.
   Payloads are copied when they are added, and lent to the callback during the call.

   Why hidden visibility: a header's variable with default visibility would be one object for all plugins of a process
   (STB_GNU_UNIQUE for a C++ `inline` variable, also under RTLD_LOCAL; symbol interposition under RTLD_GLOBAL). Every
   plugin has a table of its own because nothing of this header is exported, whatever -fvisibility says, except
   dlcast_plugin_table_v1.

   Why one function and not a data symbol: a program that was linked against a plugin could hold a copy relocation of
   data, and then the host would read the copy; and a function can be asked again, and can say that there is no table. */

#ifndef DLCAST_PLUGIN_H
#define DLCAST_PLUGIN_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#if defined(__cplusplus) && __cplusplus >= 201703L
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#endif

#if !defined(__GNUC__)
#error "dlcast_plugin.h needs the attributes and atomics of gcc or clang"
#endif

/* The version of the layout below. */
#define DLCAST_PLUGIN_ABI 1u

/* The longest name or signature in bytes, without its NUL. */
#define DLCAST_NAME_MOST 65535u

/* dlcast_request_v1.kind */
#define DLCAST_REQUEST_KIND_LIBRARY 0
#define DLCAST_REQUEST_KIND_MODULE 1

#define DLCAST_HIDDEN __attribute__((visibility("hidden")))

/* Below, what differs between the languages. In C++ the functions are one of each a plugin, hidden; in C each translation
   unit has its own. */
#ifdef __cplusplus
#define DLCAST_BEGIN_C extern "C" {
#define DLCAST_END_C }
#define DLCAST_INLINE inline DLCAST_HIDDEN
#define DLCAST_CAST(type, value) reinterpret_cast<type>(value)
#else
#define DLCAST_BEGIN_C
#define DLCAST_END_C
#define DLCAST_INLINE static inline
#define DLCAST_CAST(type, value) ((type)(value))
#endif

DLCAST_BEGIN_C

/* ---- The layout, version 1 ------------------------------------------------------------------------------------------ */

/* Any function; cast to what its signature says before it is called. */
typedef void (*dlcast_function)(void);

/* The one signature of callbacks. 0 is success; anything else is a failure, and message says why: room for capacity bytes
   (at least 1024), to be NUL-terminated, "" at entry (see dlcast_plugin_fail). payload is lent during the call. A callback
   must not throw: a foreign exception cannot be caught by the host. It may add to its plugin's table and may call what
   dlcast.h lets a callback call (see dlcast_global_callback there: it asks, and never waits for other ranks); it does not run on the main thread for certain and uses none of the program's
   communicators. It runs at most once in a process for the same function, tag and payload, whether it fails or not. */
typedef int32_t (*dlcast_callback)(const void *payload, size_t length, uint64_t tag, char *message, size_t capacity);

/* A function that the plugin names. The name is unique in the plugin. The signature is any text for a raw function (say
   "c:int(double)"), which must not throw; guarded tasks, which C++ templates and Rust macros make, have a signature such
   as "(f64,*const f64,u64)->f64" and the C type

       int32_t function(ARGUMENTS..., RESULT *result, char *message, size_t capacity)

   without `result` where there is none: 0 is success, anything else a failure that message tells, as with callbacks. */
typedef struct dlcast_task_v1 {
  const char *name;
  const char *signature;
  dlcast_function function;
} dlcast_task_v1;

/* A function to be run once in every process. */
typedef struct dlcast_callback_v1 {
  dlcast_callback function;
  const void *payload;
  size_t length;
  uint64_t tag;
} dlcast_callback_v1;

/* Something that the plugin wants loaded on every rank. flags are those of dlopen, 0 meaning RTLD_NOW; 0 for a module.
   "$ORIGIN/" at the start of a library's name is the folder of the plugin. */
typedef struct dlcast_request_v1 {
  const char *name;
  int32_t kind;
  int32_t flags;
} dlcast_request_v1;

/* One segment of a chain. Entries are appended behind the last one of the last segment and never move. count and next are
   written with release, after what they lead to. entries may be NULL where count is 0. */
typedef struct dlcast_list_v1 {
  const void *entries;
  size_t count;
  const struct dlcast_list_v1 *next;
} dlcast_list_v1;

/* What a plugin says about itself. */
typedef struct dlcast_table_v1 {
  uint32_t abi;  /* DLCAST_PLUGIN_ABI */
  uint32_t size; /* of this struct */
  const char *name;
  const char *version;
  const dlcast_list_v1 *tasks;
  const dlcast_list_v1 *callbacks;
  const dlcast_list_v1 *requests;
} dlcast_table_v1;

/* The one exported symbol; DLCAST_PLUGIN defines it. NULL when the plugin ran out of memory while it registered. */
__attribute__((visibility("default"))) const dlcast_table_v1 *dlcast_plugin_table_v1(void);

/* ---- The plugin's own state ----------------------------------------------------------------------------------------- */

/* A chain that grows: its first segment stays empty, so that the table never changes; last is NULL until there is another,
   and room is what the last segment has beyond its count. grown is the size of the last segment that was allocated. */
typedef struct dlcast_plugin_chain {
  dlcast_list_v1 first;
  dlcast_list_v1 *last;
  size_t room;
  size_t grown;
} dlcast_plugin_chain;

typedef struct dlcast_plugin_state {
  dlcast_plugin_chain tasks;
  dlcast_plugin_chain callbacks;
  dlcast_plugin_chain requests;
  int failed;
} dlcast_plugin_state;

/* Defined by DLCAST_PLUGIN. A linker that finds this undefined asks for DLCAST_PLUGIN(name, version), once in the plugin. */
extern DLCAST_HIDDEN dlcast_plugin_state dlcast_plugin_state_of_DLCAST_PLUGIN;

/* Puts a segment behind the last one. */
DLCAST_INLINE void dlcast_plugin_link(dlcast_plugin_chain *chain, dlcast_list_v1 *segment) {
  dlcast_list_v1 *last = chain->last ? chain->last : &chain->first;
  __atomic_store_n(&last->next, segment, __ATOMIC_RELEASE);
  chain->last = segment;
}

/* Appends one entry; a new segment is complete before it can be seen. */
DLCAST_INLINE int dlcast_plugin_append(dlcast_plugin_chain *chain, const void *entry, size_t size) {
  if (chain->room == 0) {
    size_t grown = chain->grown ? 2 * chain->grown : 16;
    dlcast_list_v1 *segment = DLCAST_CAST(dlcast_list_v1 *, malloc(sizeof(dlcast_list_v1) + grown * size));
    if (!segment) {
      dlcast_plugin_state_of_DLCAST_PLUGIN.failed = 1;
      return -1;
    }
    memcpy(segment + 1, entry, size);
    segment->entries = segment + 1;
    segment->count = 1;
    segment->next = NULL;
    dlcast_plugin_link(chain, segment);
    chain->grown = grown;
    chain->room = grown - 1;
    return 0;
  }
  memcpy(DLCAST_CAST(char *, chain->last + 1) + chain->last->count * size, entry, size);
  __atomic_store_n(&chain->last->count, chain->last->count + 1, __ATOMIC_RELEASE);
  chain->room -= 1;
  return 0;
}

/* ---- Functions: for constructors and callbacks. 0, or -1 when there is no memory, and then the plugin has no table ---- */

/* Adds a task. name and signature are not copied (dlcast_plugin_keep does). */
DLCAST_INLINE int dlcast_plugin_add_task(const char *name, const char *signature, dlcast_function function) {
  dlcast_task_v1 entry;
  entry.name = name;
  entry.signature = signature;
  entry.function = function;
  return dlcast_plugin_append(&dlcast_plugin_state_of_DLCAST_PLUGIN.tasks, &entry, sizeof entry);
}

/* Adds all tasks of a static array of them, without looking at any: segment is static, too, and used once. */
DLCAST_INLINE void dlcast_plugin_add_tasks(dlcast_list_v1 *segment) {
  dlcast_plugin_link(&dlcast_plugin_state_of_DLCAST_PLUGIN.tasks, segment);
  dlcast_plugin_state_of_DLCAST_PLUGIN.tasks.room = 0;
}

/* A copy of length bytes and a NUL behind them, as long-lived as the plugin; NULL when there is no memory. */
DLCAST_INLINE char *dlcast_plugin_keep(const void *bytes, size_t length) {
  char *copy = DLCAST_CAST(char *, malloc(length + 1));
  if (!copy) {
    dlcast_plugin_state_of_DLCAST_PLUGIN.failed = 1;
    return NULL;
  }
  if (length) memcpy(copy, bytes, length);
  copy[length] = '\0';
  return copy;
}

/* Adds a callback; the payload is copied. The host runs it on every rank, in the order of adding, once for the same
   function, tag and payload. (The order of constructors is the file's own: the same on every rank, but it is for the
   linker to choose between translation units, and under -flto within one of C.) One that is added by a callback runs in the next round of the same call. */
DLCAST_INLINE int dlcast_plugin_add_callback(dlcast_callback function, const void *payload, size_t length, uint64_t tag) {
  dlcast_callback_v1 entry;
  entry.function = function;
  entry.payload = length ? dlcast_plugin_keep(payload, length) : NULL;
  entry.length = length;
  entry.tag = tag;
  if (length && !entry.payload) return -1;
  return dlcast_plugin_append(&dlcast_plugin_state_of_DLCAST_PLUGIN.callbacks, &entry, sizeof entry);
}

/* Asks for a library on every rank: a path, a bare name, or "$ORIGIN/..."; flags of dlopen, 0 meaning RTLD_NOW. Returns at
   once; where the library cannot be loaded, the plugin is undone with it. */
DLCAST_INLINE int dlcast_plugin_ask_library(const char *name, int flags) {
  dlcast_request_v1 entry;
  entry.name = name;
  entry.kind = DLCAST_REQUEST_KIND_LIBRARY;
  entry.flags = flags;
  return dlcast_plugin_append(&dlcast_plugin_state_of_DLCAST_PLUGIN.requests, &entry, sizeof entry);
}

/* Asks for a Python module on every rank, by its dotted name. */
DLCAST_INLINE int dlcast_plugin_ask_module(const char *name) {
  dlcast_request_v1 entry;
  entry.name = name;
  entry.kind = DLCAST_REQUEST_KIND_MODULE;
  entry.flags = 0;
  return dlcast_plugin_append(&dlcast_plugin_state_of_DLCAST_PLUGIN.requests, &entry, sizeof entry);
}

/* For callbacks: writes a message as printf would, cut where the room ends, and returns what the callback should return:
   return dlcast_plugin_fail(message, capacity, "cannot open %s", path); */
__attribute__((format(printf, 3, 4))) DLCAST_INLINE int32_t dlcast_plugin_fail(char *message, size_t capacity,
                                                                               const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  if (capacity) vsnprintf(message, capacity, format, arguments);
  va_end(arguments);
  return 1;
}

DLCAST_END_C

/* ---- Macros: at file scope, each with a semicolon ------------------------------------------------------------------- */

#define DLCAST_JOIN_NOW(a, b) a##b
#define DLCAST_JOIN(a, b) DLCAST_JOIN_NOW(a, b)

/* Lets a macro end in something that wants a semicolon, in both languages. */
#define DLCAST_END struct dlcast_plugin_semicolon

/* Runs one statement while the library is opened. */
#define DLCAST_CONSTRUCTOR(name, statement)             \
  __attribute__((constructor)) static void name(void) { \
    statement;                                          \
  }                                                     \
  DLCAST_END

/* Once in a plugin: its name, unique among the plugins of a session, and its version, for people. */
#define DLCAST_PLUGIN(plugin_name, plugin_version)                                   \
  DLCAST_BEGIN_C                                                                     \
  dlcast_plugin_state dlcast_plugin_state_of_DLCAST_PLUGIN;                          \
  const dlcast_table_v1 *dlcast_plugin_table_v1(void) {                              \
    static const dlcast_table_v1 table = {DLCAST_PLUGIN_ABI,                         \
                                          sizeof(dlcast_table_v1),                   \
                                          plugin_name,                               \
                                          plugin_version,                            \
                                          &dlcast_plugin_state_of_DLCAST_PLUGIN.tasks.first,     \
                                          &dlcast_plugin_state_of_DLCAST_PLUGIN.callbacks.first, \
                                          &dlcast_plugin_state_of_DLCAST_PLUGIN.requests.first}; \
    return dlcast_plugin_state_of_DLCAST_PLUGIN.failed ? NULL : &table;              \
  }                                                                                  \
  DLCAST_END_C                                                                       \
  DLCAST_END

/* A raw task: a C function that does not throw, under a name, with any text as its signature. */
#define DLCAST_TASK(function, name, signature)                       \
  DLCAST_CONSTRUCTOR(DLCAST_JOIN(dlcast_plugin_task_, __COUNTER__), \
                     (void)dlcast_plugin_add_task(name, signature, DLCAST_CAST(dlcast_function, function)))

/* A static array of dlcast_task_v1, of any length: becomes part of the table as it is, with no work per task. */
#define DLCAST_TASKS(array)                                                                                     \
  static dlcast_list_v1 DLCAST_JOIN(dlcast_plugin_segment_of_, array) = {array, sizeof(array) / sizeof((array)[0]), \
                                                                          NULL};                                  \
  DLCAST_CONSTRUCTOR(DLCAST_JOIN(dlcast_plugin_tasks_of_, array),                                               \
                     dlcast_plugin_add_tasks(&DLCAST_JOIN(dlcast_plugin_segment_of_, array)))

/* A callback of the type dlcast_callback, with length bytes of payload. */
#define DLCAST_CALLBACK(function, payload, length, tag)                  \
  DLCAST_CONSTRUCTOR(DLCAST_JOIN(dlcast_plugin_callback_, __COUNTER__), \
                     (void)dlcast_plugin_add_callback(function, payload, length, tag))

/* A library that every rank shall load, too. */
#define DLCAST_REQUEST_LIBRARY(name, flags)                             \
  DLCAST_CONSTRUCTOR(DLCAST_JOIN(dlcast_plugin_request_, __COUNTER__), \
                     (void)dlcast_plugin_ask_library(name, flags))

/* A Python module that every rank shall import, too. */
#define DLCAST_REQUEST_MODULE(name) \
  DLCAST_CONSTRUCTOR(DLCAST_JOIN(dlcast_plugin_request_, __COUNTER__), (void)dlcast_plugin_ask_module(name))

#if defined(__cplusplus) && __cplusplus >= 201703L

/* ---- C++17: what registers itself, with signatures derived and exceptions caught ------------------------------------- */

#include <string>
#include <string_view>
#include <type_traits>

#ifdef __cpp_exceptions
#include <cxxabi.h>
#include <exception>
#include <typeinfo>
#define DLCAST_TRY try
#define DLCAST_CATCH(message, capacity)           \
  catch (...) {                                   \
    ::dlcast::detail::describe(message, capacity); \
    return 1;                                     \
  }
#else
/* Without exceptions a guard only calls. */
#define DLCAST_TRY
#define DLCAST_CATCH(message, capacity) (void)message, (void)capacity;
#endif

/* Every function and variable says that it is hidden, and no type does: a class of the plugin that derives from one of
   these, or holds one, keeps its own visibility without a warning. */
namespace dlcast {
namespace detail {

/* Text whose length is known while compiling; signatures are put together from it. */
template <std::size_t Length> struct text {
  char bytes[Length + 1];
};

template <std::size_t Size> DLCAST_HIDDEN constexpr text<Size - 1> literal(const char (&bytes)[Size]) {
  text<Size - 1> result{};
  for (std::size_t at = 0; at < Size; ++at) result.bytes[at] = bytes[at];
  return result;
}

template <std::size_t Left, std::size_t Right>
DLCAST_HIDDEN constexpr text<Left + Right> operator+(const text<Left> &left, const text<Right> &right) {
  text<Left + Right> result{};
  for (std::size_t at = 0; at < Left; ++at) result.bytes[at] = left.bytes[at];
  for (std::size_t at = 0; at <= Right; ++at) result.bytes[Left + at] = right.bytes[at];
  return result;
}

template <class Type> DLCAST_HIDDEN constexpr bool is_number() {
  if constexpr (std::is_integral_v<Type>) return sizeof(Type) <= 8;
  else return std::is_same_v<Type, float> || std::is_same_v<Type, double>;
}

template <class Type> DLCAST_HIDDEN constexpr auto number_name() {
  if constexpr (std::is_same_v<Type, bool>) {
    return literal("bool");
  } else if constexpr (std::is_floating_point_v<Type>) {
    if constexpr (sizeof(Type) == 4) return literal("f32");
    else return literal("f64");
  } else if constexpr (std::is_signed_v<Type>) {
    if constexpr (sizeof(Type) == 1) return literal("i8");
    else if constexpr (sizeof(Type) == 2) return literal("i16");
    else if constexpr (sizeof(Type) == 4) return literal("i32");
    else return literal("i64");
  } else {
    if constexpr (sizeof(Type) == 1) return literal("u8");
    else if constexpr (sizeof(Type) == 2) return literal("u16");
    else if constexpr (sizeof(Type) == 4) return literal("u32");
    else return literal("u64");
  }
}

/* The name of what a pointer leads to: everything that is neither a number nor a pointer is void. */
template <class Type> DLCAST_HIDDEN constexpr auto pointee_name();

template <class Type> DLCAST_HIDDEN constexpr auto name_of() {
  using plain = std::remove_cv_t<Type>;
  if constexpr (std::is_pointer_v<plain>) {
    using pointee = std::remove_pointer_t<plain>;
    static_assert(!std::is_function_v<pointee>, "dlcast: a pointer to a function has no portable type");
    if constexpr (std::is_const_v<pointee>) return literal("*const ") + pointee_name<std::remove_cv_t<pointee>>();
    else return literal("*mut ") + pointee_name<std::remove_cv_t<pointee>>();
  } else {
    static_assert(is_number<plain>(),
                  "dlcast: arguments and results are numbers of at most 64 bits, bool, and pointers (no references, no "
                  "structs or enums by value)");
    return number_name<plain>();
  }
}

template <class Type> DLCAST_HIDDEN constexpr auto pointee_name() {
  if constexpr (std::is_pointer_v<Type> || is_number<Type>()) return name_of<Type>();
  else return literal("void");
}

template <class First, class... Rest> DLCAST_HIDDEN constexpr auto argument_names() {
  if constexpr (sizeof...(Rest) == 0) return name_of<First>();
  else return name_of<First>() + literal(",") + argument_names<Rest...>();
}

template <class Result, class... Arguments> DLCAST_HIDDEN constexpr auto parenthesis() {
  if constexpr (sizeof...(Arguments) == 0) return literal("()");
  else return literal("(") + argument_names<Arguments...>() + literal(")");
}

template <class Result, class... Arguments> DLCAST_HIDDEN constexpr auto signature_text() {
  if constexpr (std::is_void_v<Result>) return parenthesis<Result, Arguments...>();
  else return parenthesis<Result, Arguments...>() + literal("->") + name_of<Result>();
}

template <class Result, class... Arguments> struct signature_of {
  DLCAST_HIDDEN static constexpr auto text = signature_text<Result, Arguments...>();
};

template <class Type> struct type_name_of {
  DLCAST_HIDDEN static constexpr auto text = name_of<Type>();
};

#ifdef __cpp_exceptions

/* Puts text behind what the message says already; cut between characters of UTF-8 where the room ends. */
inline DLCAST_HIDDEN void say(char *message, std::size_t capacity, const char *text, std::size_t length) noexcept {
  const std::size_t used = std::strlen(message);
  if (used + length + 1 > capacity) {
    length = capacity - used - 1;
    while (length > 0 && (static_cast<unsigned char>(text[length]) & 0xC0u) == 0x80u) --length;
  }
  std::memcpy(message + used, text, length);
  message[used + length] = '\0';
}

inline DLCAST_HIDDEN void say(char *message, std::size_t capacity, const char *text) noexcept {
  if (text) say(message, capacity, text, std::strlen(text));
}

/* The type of the exception that is handled now, as people write it. */
inline DLCAST_HIDDEN void say_type(char *message, std::size_t capacity) noexcept {
  const std::type_info *type = abi::__cxa_current_exception_type();
  if (!type) return say(message, capacity, "an exception of another language");
  int status = 0;
  char *readable = abi::__cxa_demangle(type->name(), nullptr, nullptr, &status);
  std::string_view name = readable ? readable : type->name();
  /* What std::throw_with_nested made of the type that was thrown. */
  constexpr std::string_view nested = "std::_Nested_exception<";
  if (name.size() > nested.size() && name.compare(0, nested.size(), nested) == 0 && name.back() == '>') {
    name.remove_prefix(nested.size());
    name.remove_suffix(name[name.size() - 2] == ' ' ? 2 : 1);
  }
  say(message, capacity, name.data(), name.size());
  std::free(readable);
}

/* Says what the exception that is handled now says of itself, and what caused it; to a depth that a message has room for. */
inline DLCAST_HIDDEN void describe(char *message, std::size_t capacity, int depth = 0) noexcept {
  if (capacity == 0) return;
  if (depth == 0) message[0] = '\0';
  else say(message, capacity, "; caused by ");
  say_type(message, capacity);
  try {
    throw;
  } catch (const std::exception &exception) {
    say(message, capacity, ": ");
    say(message, capacity, exception.what());
#ifdef __cpp_rtti
    const std::nested_exception *nested = dynamic_cast<const std::nested_exception *>(&exception);
    if (nested && nested->nested_ptr() && depth < 8) {
      try {
        nested->rethrow_nested();
      } catch (...) {
        describe(message, capacity, depth + 1);
      }
    }
#endif
  } catch (const char *text) {
    say(message, capacity, ": ");
    say(message, capacity, text);
  } catch (const std::string &text) {
    say(message, capacity, ": ");
    say(message, capacity, text.data(), text.size());
  } catch (int number) {
    char digits[24];
    std::snprintf(digits, sizeof digits, ": %d", number);
    say(message, capacity, digits);
  } catch (...) {
  }
}

#endif

template <auto Function, class Type> struct task_guard {
  static_assert(!std::is_same_v<Type, Type>, "dlcast: a task is a function, a static member function or a lambda without capture");
};

template <auto Function, class Result, class... Arguments> struct task_guard<Function, Result (*)(Arguments...)> {
  DLCAST_HIDDEN static std::int32_t call(Arguments... arguments, Result *result, char *message, std::size_t capacity) {
    DLCAST_TRY {
      *result = Function(arguments...);
      return 0;
    }
    DLCAST_CATCH(message, capacity)
  }
  DLCAST_HIDDEN static constexpr const char *signature = signature_of<Result, Arguments...>::text.bytes;
};

template <auto Function, class... Arguments> struct task_guard<Function, void (*)(Arguments...)> {
  DLCAST_HIDDEN static std::int32_t call(Arguments... arguments, char *message, std::size_t capacity) {
    DLCAST_TRY {
      Function(arguments...);
      return 0;
    }
    DLCAST_CATCH(message, capacity)
  }
  DLCAST_HIDDEN static constexpr const char *signature = signature_of<void, Arguments...>::text.bytes;
};

template <auto Function, class Result, class... Arguments>
struct task_guard<Function, Result (*)(Arguments...) noexcept>
    : task_guard<static_cast<Result (*)(Arguments...)>(Function), Result (*)(Arguments...)> {};

template <class Type> inline constexpr bool no_callback DLCAST_HIDDEN = false;

}  // namespace detail

/* The portable name of a type: "f64", "*const u8". For the names of template instances. */
template <class Type> DLCAST_HIDDEN constexpr std::string_view type_name() {
  return std::string_view{detail::type_name_of<Type>::text.bytes, sizeof(detail::type_name_of<Type>::text) - 1};
}

/* A function as a guarded task, registered or not: `call` is the C function of dlcast_task_v1, `signature` its text, and
   `function()` the same function with its type removed. Program code is handed out this way, too.
   Arguments and results are numbers of at most 64 bits, bool and pointers; what a pointer leads to is void where it is
   neither. An exception becomes the message: type, text and causes. In C++17 a lambda without capture is given as +lambda,
   for a constexpr lambda; since C++20 as it is. */
template <auto Function> struct guard : detail::task_guard<+Function, decltype(+Function)> {
  DLCAST_HIDDEN static dlcast_function function() noexcept { return reinterpret_cast<dlcast_function>(&guard::call); }
};

/* A function as a callback, registered or not: `call` has the C signature. The function is
       void(const void *payload, std::size_t length, std::uint64_t tag),
       void(std::string_view payload, std::uint64_t tag), or
       std::int32_t(const void *payload, std::size_t length, std::uint64_t tag, char *message, std::size_t capacity). */
template <auto Function> struct callback_guard {
  DLCAST_HIDDEN static std::int32_t call(const void *payload, std::size_t length, std::uint64_t tag, char *message,
                                         std::size_t capacity) {
    using type = decltype(+Function);
    DLCAST_TRY {
      if constexpr (std::is_invocable_r_v<std::int32_t, type, const void *, std::size_t, std::uint64_t, char *, std::size_t>) {
        return (+Function)(payload, length, tag, message, capacity);
      } else if constexpr (std::is_invocable_v<type, const void *, std::size_t, std::uint64_t>) {
        static_assert(std::is_void_v<std::invoke_result_t<type, const void *, std::size_t, std::uint64_t>>,
                      "dlcast: a callback without a message returns nothing; it fails by throwing");
        (+Function)(payload, length, tag);
      } else if constexpr (std::is_invocable_v<type, std::string_view, std::uint64_t>) {
        static_assert(std::is_void_v<std::invoke_result_t<type, std::string_view, std::uint64_t>>,
                      "dlcast: a callback without a message returns nothing; it fails by throwing");
        (+Function)(std::string_view{static_cast<const char *>(payload), length}, tag);
      } else {
        static_assert(detail::no_callback<type>,
                      "dlcast: a callback takes (const void *, size_t, uint64_t) or (std::string_view, uint64_t)");
      }
      return 0;
    }
    DLCAST_CATCH(message, capacity)
  }
};

/* A task that registers itself: static dlcast::task<&step> step_task{"step"}; the name is a literal. */
template <auto Function> class task {
 public:
  DLCAST_HIDDEN explicit task(const char *name) {
    (void)dlcast_plugin_add_task(name, guard<Function>::signature, guard<Function>::function());
  }
  task(const task &) = delete;
  task &operator=(const task &) = delete;
};

/* A callback that registers itself: static dlcast::callback<&setup> at_setup{"payload", 1}; the payload is copied. */
template <auto Function> class callback {
 public:
  DLCAST_HIDDEN callback() : callback(std::string_view{}, 0) {}
  DLCAST_HIDDEN explicit callback(std::string_view payload, std::uint64_t tag = 0)
      : callback(payload.data(), payload.size(), tag) {}
  DLCAST_HIDDEN callback(const void *payload, std::size_t length, std::uint64_t tag) {
    (void)dlcast_plugin_add_callback(&callback_guard<Function>::call, payload, length, tag);
  }
  callback(const callback &) = delete;
  callback &operator=(const callback &) = delete;
};

/* A library that every rank shall load, too: static dlcast::request also{"$ORIGIN/libb.so"}; flags of dlopen. */
class request {
 public:
  DLCAST_HIDDEN explicit request(const char *library, int flags = 0) { (void)dlcast_plugin_ask_library(library, flags); }
  request(const request &) = delete;
  request &operator=(const request &) = delete;
};

/* A Python module that every rank shall import, too. */
class module_request {
 public:
  DLCAST_HIDDEN explicit module_request(const char *module) { (void)dlcast_plugin_ask_module(module); }
  module_request(const module_request &) = delete;
  module_request &operator=(const module_request &) = delete;
};

/* The base of a class template whose instances are tasks. Each instance that the plugin makes use of, in any number of
   translation units, registers itself once:

       template <class T> struct scale : dlcast::registers<scale<T>> {
         static std::string task_name() { return "scale<" + std::string(dlcast::type_name<T>()) + ">"; }
         static void run(T *values, std::uint64_t count, T by);
       };
       template struct scale<double>;                     // or any other use that needs the complete class

   A static data member of the template itself would not do: without hidden visibility it is one object for all plugins
   that have the same instance, and only the first of them would register. */
template <class Kernel> class registers {
  DLCAST_HIDDEN static bool add() {
    const std::string name(Kernel::task_name());
    const char *kept = dlcast_plugin_keep(name.data(), name.size());
    using guarded = guard<&Kernel::run>;
    return kept && dlcast_plugin_add_task(kept, guarded::signature, guarded::function()) == 0;
  }
  DLCAST_HIDDEN static inline const bool added = add();
  /* To name the variable as an argument is to use it: the instance of the class brings the instance of the variable. */
  template <const bool *> struct use {};

 public:
  using registered = use<&added>;
};

}  // namespace dlcast

#endif

#endif
