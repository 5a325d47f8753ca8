/* Code that is generated while the program runs, on every rank. Code in memory has no name that another process could know, and a
   file that one rank writes need not be there for another: what travels is the source, as the payload of a callback. Each process
   compiles it, opens the result, and puts its functions into the table of this plugin, where they are tasks like any others: with
   one id on all ranks, once the call that registered the callback has returned.

       cc -shared -fPIC -o libcompiler.so compiler.c

   One rank, the one that generates, registers `compile_and_add` with dlcast_register_global or dlcast_record_code. The source
   defines

       const dlcast_task_v1 generated_tasks[];
       const size_t generated_count;

   Once a node: the processes of a node share a folder, and whoever has the lock of a source first compiles it; the others wait for
   the lock and find the library. The folder is this user's own, nobody else can write to it, and what lies there is used only
   beside the same source to the last byte. CC names the compiler, which every node must have. The library's code runs with the
   program's rights: whoever may register a callback may run any code in the job, generated or not. */
#define _GNU_SOURCE
#include <dlcast_plugin.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdbool.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

DLCAST_PLUGIN("compiler", "1.0");

/* Where a source, its library and its lock are. */
typedef struct {
  char folder[512];
  char source[640];
  char library[640];
  char lock[640];
} places;

/* FNV-1a: a name for the source, no proof that it is the same one. */
static uint64_t digest(const unsigned char *bytes, size_t length) {
  uint64_t value = 0xcbf29ce484222325u;
  for (size_t at = 0; at < length; ++at) value = (value ^ bytes[at]) * 0x100000001b3u;
  return value;
}

/* A folder of this user that no other can enter. */
static bool prepare(places *it, const void *source, size_t length) {
  const char *temporary = getenv("TMPDIR");
  struct stat status;
  unsigned long long name = digest(source, length);
  int fits = snprintf(it->folder, sizeof it->folder, "%s/dlcast-generated-%u", temporary ? temporary : "/tmp",
                      (unsigned)geteuid());
  if (fits < 0 || (size_t)fits >= sizeof it->folder) return false;
  snprintf(it->source, sizeof it->source, "%s/%016llx.c", it->folder, name);
  snprintf(it->library, sizeof it->library, "%s/%016llx.so", it->folder, name);
  snprintf(it->lock, sizeof it->lock, "%s/%016llx.lock", it->folder, name);
  if (mkdir(it->folder, 0700) != 0 && errno != EEXIST) return false;
  if (lstat(it->folder, &status) != 0) return false;
  return S_ISDIR(status.st_mode) && status.st_uid == geteuid() && (status.st_mode & 077) == 0;
}

static bool write_file(const char *path, const void *bytes, size_t length) {
  FILE *file = fopen(path, "wb");
  if (!file) return false;
  bool written = fwrite(bytes, 1, length, file) == length;
  return fclose(file) == 0 && written;
}

static bool has_content(const char *path, const void *bytes, size_t length) {
  FILE *file = fopen(path, "rb");
  if (!file) return false;
  char *content = malloc(length + 1);
  bool same = content && fread(content, 1, length + 1, file) == length && memcmp(content, bytes, length) == 0;
  free(content);
  fclose(file);
  return same;
}

/* Runs the compiler, without a shell, and not as a fork, which not every network of an MPI survives. What it says goes into a file.
   -O0: generated code is large, and every rank waits for it. */
static int run_compiler(const char *source, const char *library, const char *log) {
  const char *compiler = getenv("CC") ? getenv("CC") : "cc";
  const char *arguments[] = {compiler, "-std=c11", "-O0", "-ffp-contract=off", "-shared", "-fPIC", "-o", library, source, NULL};
  posix_spawn_file_actions_t actions;
  pid_t child = 0;
  int status = -1;
  if (posix_spawn_file_actions_init(&actions) != 0) return -1;
  posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, log, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  if (posix_spawnp(&child, compiler, &actions, NULL, (char *const *)arguments, environ) == 0) {
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {}
  }
  posix_spawn_file_actions_destroy(&actions);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* The library of a source, made by this process or by another of the node. The caller holds the lock. */
static int32_t make(const places *it, const void *source, size_t length, char *message, size_t capacity) {
  char fresh[sizeof it->library + 8], log[sizeof it->library + 8], said[600] = "";
  if (has_content(it->source, source, length) && access(it->library, R_OK) == 0) return 0;
  unlink(it->library);
  if (!write_file(it->source, source, length)) {
    return dlcast_plugin_fail(message, capacity, "cannot write %s: %s", it->source, strerror(errno));
  }
  /* A library appears under its name when it is complete. */
  snprintf(fresh, sizeof fresh, "%s.new", it->library);
  snprintf(log, sizeof log, "%s.log", it->library);
  int status = run_compiler(it->source, fresh, log);
  if (status == 0 && rename(fresh, it->library) == 0) return 0;
  FILE *file = fopen(log, "rb");
  if (file) {
    said[fread(said, 1, sizeof said - 1, file)] = '\0';
    fclose(file);
  }
  unlink(it->source);
  return dlcast_plugin_fail(message, capacity, "the compiler ended with status %d: %s", status, said);
}

/* Opens the library and makes its functions tasks. It is never closed: tasks live as long as the process. */
static int32_t add(const char *library, char *message, size_t capacity) {
  void *handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
  if (!handle) return dlcast_plugin_fail(message, capacity, "%s", dlerror());
  const dlcast_task_v1 *tasks = dlsym(handle, "generated_tasks");
  const size_t *count = dlsym(handle, "generated_count");
  if (!tasks || !count) return dlcast_plugin_fail(message, capacity, "the source defines no generated_tasks and generated_count");
  for (size_t at = 0; at < *count; ++at) {
    if (dlcast_plugin_add_task(tasks[at].name, tasks[at].signature, tasks[at].function) != 0) {
      return dlcast_plugin_fail(message, capacity, "no memory for %zu tasks", *count);
    }
  }
  return 0;
}

/* A callback: the payload is C source. Exported: a program registers it. */
int32_t compile_and_add(const void *payload, size_t length, uint64_t tag, char *message, size_t capacity) {
  places it;
  (void)tag;
  if (!prepare(&it, payload, length)) {
    return dlcast_plugin_fail(message, capacity, "%s is no folder of this user alone", it.folder);
  }
  int lock = open(it.lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (lock < 0 || flock(lock, LOCK_EX) != 0) {
    int error = errno;
    if (lock >= 0) close(lock);
    return dlcast_plugin_fail(message, capacity, "cannot lock %s: %s", it.lock, strerror(error));
  }
  int32_t made = make(&it, payload, length, message, capacity);
  /* The end of the file descriptor is the end of the lock. */
  close(lock);
  return made ? made : add(it.library, message, capacity);
}
