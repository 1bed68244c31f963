/* The TLS libraries that are judged. */

#include "backend.h"
#include "gnutls.h"
#include "openssl.h"

const struct backend *const backends[] = {&openssl_backend, &gnutls_backend, NULL};
