/* The targets of a pins file, one by one: for subcommands that go through all of it. */
#ifndef PINSHIM_TARGETS_H
#define PINSHIM_TARGETS_H

#include "pins.h"

/* Return the first rule of the file (`rule` NULL) or the one after `rule`; NULL at the end. */
const struct rule *targets_next(const struct pins *pins, const struct rule *rule);

/* Read the target of `rule`, if it is one name or one address, with its port (0: every port). Return false for *, its kin and @unknown. */
MUST_CHECK bool targets_host(const struct pins *pins, const struct rule *rule, struct host *out);

/* Return true if the rule's target is @unknown. */
MUST_CHECK bool targets_are_unknown(const struct rule *rule);

/* Return true if the rule's target is *. */
MUST_CHECK bool targets_are_any(const struct rule *rule);

/* Return true if a rule of the same target is for every port. */
MUST_CHECK bool targets_have_every_port(const struct pins *pins, const struct rule *rule);

/* Return true if the two are for the same name, address or wildcard, at different ports (0: every port). */
MUST_CHECK bool targets_differ_in_port(const struct rule *rule, const struct rule *other);

/* Append the target as a pins file spells it. */
void targets_print(const struct pins *pins, const struct rule *rule, struct text *out);

/* Return the default pins file: $PINSHIM_PINS, else /etc/pinshim/pins. */
const char *targets_default_file(void);

/* Return true if the string can stand for a target in a pins file. */
MUST_CHECK bool targets_valid(const char *target);

#endif
