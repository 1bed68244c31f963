/* The one place that writes messages: one event is one line, and errno survives. */
#ifndef PINSHIM_LOG_H
#define PINSHIM_LOG_H

#include "config.h"

enum event_verdict { EVENT_FAULT = 0, EVENT_REFUSED, EVENT_REPORTED, EVENT_ACCEPTED, EVENT_UNPINNED, EVENT_NOTICE };

/* What happened. Every string is printable ASCII already (text_add_escaped); NULL or empty where there is nothing to say. */
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
    const char *issuer_spki_sha256; /* base64; at the level debug */
    const char *identities; /* what was judged, with blanks between; at the level debug */
    const char *resolved; /* the names that were resolved to the address, likewise */
    const char *not_after;
    const char *tls;
    bool resumed;
    const char *client; /* the subject of the client certificate that was offered; NULL: none was */
};

/* Return true if events of this verdict are written at all. Cheap; ask before an event is put together. */
MUST_CHECK bool log_wants(enum event_verdict verdict);

/* Write the event where PINSHIM_LOG says, or else to standard error, or else to syslog; what nobody takes is lost. Waits for nothing,
 * raises no signal, is no cancellation point. */
void log_event(const struct event *event);

/* Log a fault of the configuration. */
void log_fault(const char *format, ...) PRINTF_LIKE(1, 2);

/* At the program's start: remember its name, and which file standard error is, so that no line goes to another one that gets its number later. */
void log_start(void);

/* Before the program forbids itself system calls: open what log_event will need. */
void log_prepare(void);

#endif
