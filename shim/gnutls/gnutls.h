/* GnuTLS as a backend of libc/. */
#ifndef PINSHIM_GNUTLS_H
#define PINSHIM_GNUTLS_H

#include "backend.h"

extern const struct backend gnutls_backend;

#endif
