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

   Compile it with -fPIC -shared and no more; the plugin works under RTLD_LOCAL and under RTLD_GLOBAL.

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
   dlcast.h lets a callback call; it does not run on the main thread for certain and uses none of the program's
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
   function, tag and payload. One that is added by a callback runs in the next round of the same call. */
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
#define DLCAST_CONSTRUCTOR(name, statement)                \
  __attribute__((constructor)) static void name(void) { \
    statement;                                              \
  }                                                         \
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

#endif
