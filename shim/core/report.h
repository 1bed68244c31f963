/* The log line of an evaluation. */
#ifndef PINSHIM_REPORT_H
#define PINSHIM_REPORT_H

#include "evaluation.h"

/* Log the judgement (`tls` NULL: of a client that no library here judges), if such verdicts are logged. An acceptance without a rule is logged as unpinned. */
void report(const struct tls *tls, const struct presented *presented, const struct evaluation *evaluation, enum event_verdict verdict);

/* Append what is wrong with the client certificate of that line. */
void report_client(unsigned line, const char *problem, struct text *out);

/* Append a hint, if a digest of the rules matches something other than what its pin says. */
void report_mistake(const struct tls *tls, const struct presented *presented, const struct pins *pins, const struct judgement *judgement,
    struct text *out);

#endif
