/* OpenSSL as a backend of libc/. */
#ifndef PINSHIM_OPENSSL_H
#define PINSHIM_OPENSSL_H

#include "backend.h"

extern const struct backend openssl_backend;

#endif
