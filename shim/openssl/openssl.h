/* OpenSSL, as libc/ sees it. */
#ifndef PINSHIM_OPENSSL_H
#define PINSHIM_OPENSSL_H

#include "backend.h"

extern const struct backend openssl_backend;

#endif
