/* Parts of certificates and requests in DER, found without a TLS library, so that exactly the bytes that the peer sent are hashed. */
#ifndef PINSHIM_DER_H
#define PINSHIM_DER_H

#include "text.h"

/* Bytes that belong to the caller. `at` NULL: none. */
struct bytes {
    const uint8_t *at;
    size_t length;
};

enum {
    DER_INTEGER = 0x02,
    DER_BIT_STRING = 0x03,
    DER_OBJECT_IDENTIFIER = 0x06,
    DER_UNIVERSAL_STRING = 0x1c,
    DER_BMP_STRING = 0x1e,
    DER_SEQUENCE = 0x30,
    DER_SET = 0x31,
    DER_CONTEXT_0 = 0xa0, /* constructed, as all of that class here */
};

/* Return the element (tag, length and content; ITU-T X.690, section 8.1) that `from` begins with, and remove it from `from`. None if the
 * tag is another one or takes more than a byte, or if the length is indefinite or leads beyond the end. A length in more bytes than DER allows is
 * accepted, as TLS libraries do. */
MUST_CHECK struct bytes der_take(struct bytes *from, uint8_t tag);

/* Return the SubjectPublicKeyInfo, in DER, within a certificate (RFC 5280, section 4.1), or within a certification request (RFC 2986, section 4);
 * none if it is not a complete one. What follows the certificate, as in OpenSSL's "TRUSTED CERTIFICATE", is skipped. */
MUST_CHECK struct bytes der_spki_of_certificate(struct bytes certificate);
MUST_CHECK struct bytes der_spki_of_request(struct bytes request);

/* The same, but return the element's content. */
MUST_CHECK struct bytes der_take_content(struct bytes *from, uint8_t tag);

/* A certificate's names, each as a number: the same number for names that OpenSSL takes for equal (X509_NAME_cmp), and for few others. */
struct der_names {
    uint64_t issuer;
    uint64_t subject;
};

/* Read them from a certificate; what follows it is skipped. Return false if the bytes are not a certificate. */
MUST_CHECK bool der_read_names(struct bytes certificate, struct der_names *out);

/* Return true if the bytes are a SubjectPublicKeyInfo (RFC 5280, section 4.1.2.7) and nothing else, with DER's lengths. */
MUST_CHECK bool der_is_spki(struct bytes bytes);

#endif
