#include "gnutls.h"

#include "conn.h"

static bool prepare(void)
{
    struct loaded found[GTLS_MAX];
    bool any = false;

    for (size_t count = loader_list(GTLS_MARK, found, GTLS_MAX); count > 0; count--) {
        const struct gtls *gtls = gtls_at((const void *)found[count - 1].start);

        if (gtls == NULL || !gtls->usable)
            continue;
        pinstore_release(evaluation_pins(&gtls->tls));
        any = true;
    }
    if (any)
        evaluation_free(evaluation_new());
    return any;
}

/* A ClientHello without extensions (%NO_EXTENSIONS) is made unseen. It leaves within the call that drives the handshake, if by a function of the program's
 * own; one that leaves later is known by then. */
static bool sends(const void *caller)
{
    struct conn *conn = gtls_conn_of(gtls_conn_driven);

    (void)caller;
    if (conn != NULL)
        (void)gtls_conn_hear_hello(conn);
    return false; /* it is judged if it has the random that is known now */
}

/* Without memory it is not known which one, and which is asked shows when it is called. */
static bool owns(const void *address, const void **library)
{
    *library = gtls_at(address);
    return *library != NULL || gtls_is_at(address);
}

const struct backend gnutls_backend = {.part = "gnutls_", .mark = GTLS_MARK, .owns = owns, .judges = gtls_judges, .sends = sends, .look_in = gtls_look_in,
    .closed = gtls_closed, .prepare = prepare};
