/* The one place that writes messages: one event is one line, and errno survives. */
#ifndef PINSHIM_LOG_H
#define PINSHIM_LOG_H

#include "config.h"

enum event_verdict { EVENT_FAULT = 0, EVENT_REFUSED, EVENT_REPORTED, EVENT_ACCEPTED, EVENT_UNPINNED, EVENT_NOTICE };

/* What happened. Every string is printable ASCII already (text_add_escaped); NULL or empty: nothing to say. */
struct event {
    enum event_verdict verdict;
    const char *library; /* and its version: "openssl 3.0.22" */
    const char *target;
    const char *address;
    unsigned port;
    const char *rule;
    const char *reason;
    const char *matched;
    const char *wanted;
    const char *spki_sha256; /* base64 */
    const char *cert_sha256; /* base64 */
    const char *subject;
    const char *issuer;
    const char *issuer_spki_sha256; /* base64; logged at the level debug */
    const char *identities; /* what identified the target, separated by blanks; logged at the level debug */
    const char *resolved; /* the names that resolved to the address, likewise */
    const char *not_after;
    const char *tls;
    bool resumed;
    const char *client; /* the subject of the client certificate that was offered; NULL: none */
};

/* Return true if events of this verdict are logged at all. Cheap; call it before building an event. */
MUST_CHECK bool log_wants(enum event_verdict verdict);

/* Return true if the log file is the pins file, which a line there would make faulty: none is written. errno is not preserved. */
MUST_CHECK bool log_is_pins(void);

/* Write the event where PINSHIM_LOG says, or else to standard error, or else to syslog; if all three fail, it is lost. Never waits,
 * never raises a signal, is not a cancellation point. */
void log_event(const struct event *event);

/* Log a configuration fault. */
void log_fault(const char *format, ...) PRINTF_LIKE(1, 2);

/* At the program's start: remember its name, and which file standard error is, so that no line goes to another file that gets descriptor 2 later. */
void log_start(void);

/* Before the program installs a seccomp filter: open what log_event will need. */
void log_prepare(void);

/* Before the program changes its root directory: open what will be out of reach, but no file is made for a program that logs nothing. Standard error stays as
 * it is: whoever waits for its end must not wait for a daemon that has let go of it. */
void log_moves(bool may_log);

/* Afterwards: whether it is elsewhere now. */
void log_moved(bool elsewhere);

#endif
