/* Whether the shim would hold a program: what `run` checks before it starts one, and what `doctor` reports. */
#ifndef PINSHIM_EXAMINE_H
#define PINSHIM_EXAMINE_H

#include "program.h"

#include <sys/types.h>

/* Of a program's connections to targets for which the rules demand something. */
enum hold {
    HOLD_NEITHER = 0, /* the object is not in it, or does not see what it sends */
    HOLD_GUARDED, /* the guard refuses them: its TLS cannot be judged, but is sent through libc */
    HOLD_JUDGED,
};

/* A TLS library that was found. */
struct found {
    const char *name; /* "OpenSSL" */
    char *version; /* NULL: not known */
    char *path; /* of the library, or of the object that contains it */
    char *crypto; /* the object that contains the libcrypto that this libssl uses; NULL: the one that it is linked to */
    char *through; /* which libraries lead to it: "libcurl.so.4, librtmp.so.1"; NULL: the program itself */
    const char *how; /* "linked": at the start. "later": by dlopen. "inside": its code is a part of the object. "mapped": into a process that runs */
    struct found *next;
};

struct examination {
    enum hold hold;
    int error; /* as in struct program: there is nothing to run */
    const char *code; /* one word for machines: "openssl", "other-tls", "static" */
    char *condition; /* what must be so besides, for `hold` to be true: a clause; NULL: nothing */
    char *reason; /* a clause: "its TLS is OpenSSL 3.0.19" */
    char *next; /* what to do; NULL: nothing */
    char *plaintext; /* what goes on in plaintext after a refusal, and what to do: a sentence; NULL: nothing does */
    struct program program;
    struct seen *seen;
    struct found *found;
    char *object; /* the shim's path; NULL: not found */
    char *first; /* what must come before it in LD_PRELOAD: a sanitizer's runtime; NULL: nothing */
    bool mapped; /* the loader has shown that it maps it into the program; or it is in the process */
};

/* Whether the loader that a program names is run, to see that it maps the shim. */
enum ask { ASK_NONE = 0, ASK_ROOTS /* if it belongs to root */, ASK_ANY };

/* Examine the command `argv`, which ends with NULL. Nothing but its loader is run. */
void examine(char *const *argv, enum ask ask, struct examination *out);

/* Return true if the text has a setting with which libpq does not go on in plaintext: sslmode=require or stricter, or the same of PGSSLMODE. */
MUST_CHECK bool examine_demands_tls(const char *words);

/* Examine the process `pid`, by what is mapped into it now. */
void examine_process(pid_t pid, struct examination *out);

void examination_free(struct examination *examination);

/* Return the corresponding exit status: 0, 1 (neither), 126 (cannot be run) or 127 (not found). */
int examination_status(const struct examination *examination);

#endif
