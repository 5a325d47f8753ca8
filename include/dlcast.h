/* DRAFT by hand; will be generated from src/capi.rs by cbindgen. Names and meanings below are what capi.rs will implement. */
#ifndef DLCAST_H
#define DLCAST_H
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

/* Communicator argument of dlcast_attach that means MPI_COMM_WORLD. */
#define DLCAST_COMM_WORLD INT32_MIN

/* What a call came to. Everything but OK, JOB and AGAIN leaves a text in dlcast_last_error and details in dlcast_last_report. */
enum dlcast_status {
  DLCAST_OK = 0,
  DLCAST_UNDONE = 1,   /* a request of this call failed on some rank and was undone on all */
  DLCAST_TIMEOUT = 2,  /* the deadline passed in this call; the session is unusable from now on */
  DLCAST_BROKEN = 3,   /* the session became unusable earlier (deadline, MPI finalised, communicator freed) */
  DLCAST_INVALID = 4,  /* a bad argument or setting; nothing was sent */
  DLCAST_MPI = 5,      /* MPI reported an error, or is missing, or is another MPI */
  DLCAST_NESTED = 6,   /* called from inside a constructor or a job of the same session: recorded, not waited for */
  DLCAST_JOB = 100     /* dlcast_call_step: the caller has a job to do */
};
typedef int32_t dlcast_status;
typedef int64_t dlcast_session;    /* a handle; never reused in a process */
typedef int64_t dlcast_call;
typedef int64_t dlcast_recording;

enum { DLCAST_COLLECTIVE = 0, DLCAST_SERVICE = 1 };           /* modes */
enum { DLCAST_VERB_SYNC = 0, DLCAST_VERB_LOAD = 1, DLCAST_VERB_IMPORT = 2, DLCAST_VERB_INVALID = 3 /* name = message: takes part in the round with a request that fails */ };
enum { DLCAST_JOB_IMPORT = 1, DLCAST_JOB_COMMIT = 2, DLCAST_JOB_UNDO = 3 };

typedef struct dlcast_job {
  int32_t kind;      /* DLCAST_JOB_* */
  const char *name;  /* module name, UTF-8; valid until the answer */
} dlcast_job;

const char *dlcast_version(void);
const char *dlcast_last_error(void);   /* thread-local; valid until the next dlcast call of this thread */
const char *dlcast_last_report(void);  /* thread-local JSON, see below */

/* Collective over comm (an MPI_Fint handle). timeout in seconds: negative = DLCAST_TIMEOUT (default 120), INFINITY = none.
 * The session is cached on the communicator: a second attach gives the same handle, locally. */
dlcast_status dlcast_attach(int32_t comm, int32_t mode, double timeout, dlcast_session *session);
dlcast_status dlcast_session_info(dlcast_session session, int32_t *rank, int32_t *size);

/* Collective. */
dlcast_status dlcast_load_global(dlcast_session session, const char *path, int32_t flags, double timeout, void **handle);
dlcast_status dlcast_import_global(dlcast_session session, const char *module, double timeout); /* needs an import worker in this process */
dlcast_status dlcast_sync(dlcast_session session, double timeout);

/* Local: records a request, which the next round takes along. flags 0 = RTLD_NOW|RTLD_LOCAL. */
dlcast_status dlcast_record_library(dlcast_session session, const char *path, int32_t flags);
dlcast_status dlcast_record_module(dlcast_session session, const char *module);

/* Local: a recording sees by difference of the link maps what native code opens between begin and end. */
dlcast_status dlcast_recording_begin(dlcast_session session, dlcast_recording *recording);
dlcast_status dlcast_recording_opened(dlcast_recording recording, const char *path, int32_t flags); /* an explicit dlopen with known flags */
dlcast_status dlcast_recording_cover_begin(dlcast_recording recording);  /* what is opened until cover_end belongs to a module request */
dlcast_status dlcast_recording_cover_end(dlcast_recording recording);    /* (nesting allowed) */
dlcast_status dlcast_recording_module(dlcast_recording recording, const char *module);
dlcast_status dlcast_recording_end(dlcast_recording recording);  /* turns all of it into requests of the session */

/* Collective, stepped by a host language that does its own imports. verb: DLCAST_VERB_*; name: path or module (NULL for SYNC). */
dlcast_status dlcast_call_begin(dlcast_session session, int32_t verb, const char *name, int32_t flags, double timeout, dlcast_call *call);
/* Blocks until the call is done (its final status) or the caller has a job (DLCAST_JOB). After a final status the call handle is gone. */
dlcast_status dlcast_call_step(dlcast_call call, dlcast_job *job);
/* Answers the job; message NULL = success; traceback may be NULL. */
dlcast_status dlcast_call_answer(dlcast_call call, const char *message, const char *traceback);
/* The dlopen handle of the library that this call's DLCAST_VERB_LOAD loaded and its path on this rank: read them from the report ("handle", "path"). */

/* The import worker: a thread that Python made pulls imports asked for by C or Rust callers. Returns DLCAST_JOB with a job, DLCAST_OK when timeout seconds passed without one,
 * DLCAST_BROKEN when it should retire. */
dlcast_status dlcast_import_next(double timeout, dlcast_job *job);
dlcast_status dlcast_import_answer(const char *message, const char *traceback);

#ifdef __cplusplus
}
#endif
#endif
/* Report JSON (dlcast_last_report) after a call:
 * {"rounds": 1,
 *  "committed": [{"kind":"library"|"module", "name":"...", "path":"/abs/on/this/rank" (libraries), "identity":"libx.so.1, 16384 bytes, build id .., blake3 ..", "ranks":[0,1] (who asked)}],
 *  "undone":    [{"kind":..., "name":..., "error":"multi-line text", "failures":[{"ranks":[3,4],"hosts":["node2","node2"],"phase":"import","message":"...","traceback":"..."|null}]}],
 *  "copies":    [{"name":"libx.so","rank":1,"host":"..","paths":["/a/libx.so","/b/libx.so"]}],
 *  "own":       {"outcome":"committed"|"undone", "index": 0 (into committed or undone), "path":"...", "handle": 94121...(integer) }  -- only for LOAD and IMPORT calls
 * }
 * After DLCAST_TIMEOUT / DLCAST_BROKEN: {"missing":[{"rank":2,"host":"node1"}], "phase":"agree", "what":"libx.so"} */
