/* The functions of GnuTLS that the shim interposes. Each one prepares, delegates and returns; nothing is decided here. */

#include "backend.h"
#include "client_cert.h"
#include "handshake.h"
#include "refuse.h"
#include "session.h"
#include "told.h"
#include "verify.h"

#define EXPORT __attribute__((visibility("default"), noinline))

/* Set `conn` to what is kept for the client's session (NULL: a server's, or one that was made unseen), `gtls` to its library, and `real` to the real
 * function `name`. If there is none, the call fails. */
#define FIND(name, session, failure) \
    const struct gtls *gtls; \
    struct conn *conn = conn_of(session, __builtin_return_address(0), &gtls); \
    REAL(name, failure)

/* The same for what is no session's: the library that was asked, or that the caller uses. */
#define FIND_FOR_CALLER(name, failure) FIND_FOR_CREDENTIALS(name, NULL, failure)

/* The same for credentials, which may be known. */
#define FIND_FOR_CREDENTIALS(name, credentials, failure) \
    const struct gtls *gtls = library_of(credentials, __builtin_return_address(0)); \
    REAL(name, failure)

#define REAL(name, failure) \
    __typeof__(&name) real = gtls != NULL ? gtls->name : (__typeof__(&name))elsewhere(__builtin_return_address(0), #name); \
    if (real == NULL) \
        return failure;

/* The library of this thread's last call. Where a function that is called from here ends with a call of another one that is interposed, that call seems to
 * be this object's own. */
static _Thread_local const struct gtls *last;

/* Return a library that has no function, so that the call fails. */
static __attribute__((noinline, cold)) const struct gtls *none(void)
{
    static struct gtls none;
    static _Atomic bool logged;

    if (!atomic_exchange(&logged, true))
        log_event(&(struct event) {.verdict = EVENT_REFUSED, .library = "gnutls", .reason = "a function was called that dlsym had found in a GnuTLS which was closed since"});
    return &none;
}

/* Return the library by which the program has found the function that it calls; NULL: not by dlsym. Nothing else may be called before. */
static inline const struct gtls *asked(void)
{
    const void *gtls = dlsym_asked;

    dlsym_asked = NULL;
    return gtls != DLSYM_GONE ? gtls : none();
}

static __attribute__((noinline)) struct conn *conn_of(gnutls_session_t session, const void *caller, const struct gtls **gtls)
{
    const struct gtls *by_name = asked();
    struct conn *conn = gtls_conn_of(session);
    const struct credentials *kept;

    if (conn != NULL)
        *gtls = conn->gtls;
    else if (by_name != NULL)
        *gtls = by_name;
    else if (atomic_load_explicit(&gtls_known[1], memory_order_relaxed) != NULL && (kept = gtls_credentials_of(session)) != NULL)
        *gtls = kept->gtls;
    else
        *gtls = gtls_of_unkept(caller);
    last = *gtls;
    return conn;
}

static __attribute__((noinline)) const struct gtls *library_of(gnutls_certificate_credentials_t credentials, const void *caller)
{
    const struct gtls *gtls = asked();
    const struct credentials *kept;

    if (gtls == NULL && (kept = gtls_credentials_of(credentials)) != NULL)
        gtls = kept->gtls;
    if (gtls == NULL)
        gtls = last != NULL && loader_is_own(caller) ? last : gtls_of_caller(caller);
    last = gtls;
    return gtls;
}

/* The function that the caller would have reached without the shim. */
static __attribute__((noinline, cold)) void *elsewhere(const void *caller, const char *name)
{
    void *found = loader_for_caller(caller, name);
    static _Atomic bool logged;
    char reason[160];
    struct text text = text_over(reason, sizeof(reason));

    if (found == NULL && !atomic_exchange(&logged, true)) {
        text_add(&text, "%s was called, and it is not known of which GnuTLS: there are several, and the caller is linked to none", name);
        log_event(&(struct event) {.verdict = EVENT_REFUSED, .library = "gnutls", .reason = reason});
    }
    return found;
}

static bool is_usable(const struct gtls *gtls)
{
    return gtls != NULL && gtls->usable;
}

EXPORT int gnutls_init(gnutls_session_t *session, unsigned flags)
{
    FIND_FOR_CALLER(gnutls_init, GNUTLS_E_INTERNAL_ERROR)
    int result = real(session, flags);

    if (result < 0 || gtls == NULL)
        return result;
    gtls_credentials_forget(gtls, *session);
    if (is_usable(gtls) && (flags & GNUTLS_SERVER) == 0 ? gtls_conn_made(gtls, *session, flags, gtls_verify)
                                                        : gtls == atomic_load(&gtls_known[0]) || gtls_credentials_make(gtls, *session) != NULL)
        return result;
    gtls->gnutls_deinit(*session);
    *session = NULL;
    return GNUTLS_E_MEMORY_ERROR;
}

EXPORT void gnutls_deinit(gnutls_session_t session)
{
    FIND(gnutls_deinit, session, )

    if (conn == NULL)
        gtls_credentials_forget(gtls, session);
    real(session);
}

/* A client makes its credentials before its first handshake: the pins are read here, while the program still has its rights and its root directory. */
EXPORT int gnutls_certificate_allocate_credentials(gnutls_certificate_credentials_t *credentials)
{
    FIND_FOR_CALLER(gnutls_certificate_allocate_credentials, GNUTLS_E_INTERNAL_ERROR)
    int result = real(credentials);

    if (result >= 0 && gtls != NULL) {
        if (gtls->usable)
            pinstore_release(evaluation_pins(&gtls->tls));
        gtls_credentials_forget(gtls, *credentials);
        /* Later several threads may use them. Without memory now, they may make it then. */
        (void)gtls_credentials_make(gtls, *credentials);
    }
    return result;
}

EXPORT void gnutls_certificate_free_credentials(gnutls_certificate_credentials_t credentials)
{
    FIND_FOR_CREDENTIALS(gnutls_certificate_free_credentials, credentials, )

    gtls_credentials_forget(gtls, credentials);
    real(credentials);
}

EXPORT void gnutls_certificate_set_verify_function(gnutls_certificate_credentials_t credentials, gnutls_certificate_verify_function *function)
{
    FIND_FOR_CREDENTIALS(gnutls_certificate_set_verify_function, credentials, )

    struct credentials *kept = is_usable(gtls) ? gtls_credentials_make(gtls, credentials) : NULL;

    if (kept != NULL)
        atomic_store(&kept->verify, function);
    real(credentials, function);
}

/* The program sets the function that retrieves its client certificate. */
#define RETRIEVES(name, type, function1, function2, function3) \
    EXPORT void name(gnutls_certificate_credentials_t credentials, type *function) \
    { \
        FIND_FOR_CREDENTIALS(name, credentials, ) \
 \
        if (is_usable(gtls)) \
            gtls_client_cert_set(gtls, credentials, function1, function2, function3); \
        real(credentials, function); \
    }

RETRIEVES(gnutls_certificate_set_retrieve_function, gnutls_certificate_retrieve_function, function, NULL, NULL)
RETRIEVES(gnutls_certificate_set_retrieve_function2, gnutls_certificate_retrieve_function2, NULL, function, NULL)
RETRIEVES(gnutls_certificate_set_retrieve_function3, gnutls_certificate_retrieve_function3, NULL, NULL, function)

EXPORT void gnutls_session_set_verify_function(gnutls_session_t session, gnutls_certificate_verify_function *function)
{
    FIND(gnutls_session_set_verify_function, session, )

    if (conn != NULL)
        gtls_verify_set(conn, function);
    else
        real(session, function);
}

EXPORT void gnutls_session_set_verify_cert(gnutls_session_t session, const char *name, unsigned flags)
{
    FIND(gnutls_session_set_verify_cert, session, )
    gnutls_typed_vdata_st asked = {.type = GNUTLS_DT_DNS_HOSTNAME, .data = (unsigned char *)(uintptr_t)name};

    if (conn != NULL)
        gtls_verify_set(conn, NULL);
    real(session, name, flags);
    if (conn != NULL)
        gtls_verify_set_automatic(conn, &asked, name != NULL ? 1 : 0, true);
}

EXPORT void gnutls_session_set_verify_cert2(gnutls_session_t session, gnutls_typed_vdata_st *data, unsigned count, unsigned flags)
{
    FIND(gnutls_session_set_verify_cert2, session, )

    if (conn != NULL)
        gtls_verify_set(conn, NULL);
    real(session, data, count, flags);
    if (conn != NULL)
        gtls_verify_set_automatic(conn, data, count, false);
}

EXPORT unsigned gnutls_session_get_verify_cert_status(gnutls_session_t session)
{
    FIND(gnutls_session_get_verify_cert_status, session, UINT32_MAX)

    return conn != NULL && conn->automatic ? conn->automatic_status : real(session);
}

EXPORT int gnutls_server_name_set(gnutls_session_t session, gnutls_server_name_type_t type, const void *name, size_t length)
{
    FIND(gnutls_server_name_set, session, GNUTLS_E_INTERNAL_ERROR)
    int result = real(session, type, name, length);

    if (conn != NULL && result >= 0 && type == GNUTLS_NAME_DNS) {
        /* During a handshake it only adds to the one that was sent. */
        if (!conn->begun)
            target_forget_told(&conn->facts.sni);
        if (name != NULL && length > 0)
            (void)gtls_facts_note(gtls, &conn->facts.sni, name, length);
    }
    return result;
}

EXPORT int gnutls_handshake(gnutls_session_t session)
{
    FIND(gnutls_handshake, session, GNUTLS_E_INTERNAL_ERROR)

    return conn != NULL ? gtls_handshake_run(conn) : real(session);
}

EXPORT int gnutls_session_set_data(gnutls_session_t session, const void *bytes, size_t size)
{
    FIND(gnutls_session_set_data, session, GNUTLS_E_INTERNAL_ERROR)

    return conn != NULL ? gtls_session_hold(conn, bytes, size) : real(session, bytes, size);
}

EXPORT int gnutls_session_get_data(gnutls_session_t session, void *bytes, size_t *size)
{
    FIND(gnutls_session_get_data, session, GNUTLS_E_INTERNAL_ERROR)
    int result = real(session, bytes, size);

    if (conn != NULL && result >= 0)
        gtls_session_written(conn, bytes, *size);
    return result;
}

EXPORT int gnutls_session_get_data2(gnutls_session_t session, gnutls_datum_t *data)
{
    FIND(gnutls_session_get_data2, session, GNUTLS_E_INTERNAL_ERROR)
    int result = real(session, data);

    if (conn != NULL && result >= 0)
        gtls_session_written(conn, data->data, data->size);
    return result;
}

/* The program verifies the certificate for a name, in the verify hook or after the handshake. */
EXPORT int gnutls_certificate_verify_peers3(gnutls_session_t session, const char *name, unsigned *status)
{
    FIND(gnutls_certificate_verify_peers3, session, GNUTLS_E_INTERNAL_ERROR)
    const gnutls_typed_vdata_st data = {.type = GNUTLS_DT_DNS_HOSTNAME, .data = (unsigned char *)(uintptr_t)name};
    int result = real(session, name, status);

    if (conn != NULL && result >= 0 && !gtls_told_data(conn, &data, name != NULL ? 1 : 0))
        *status |= GNUTLS_CERT_INVALID;
    return result;
}

EXPORT int gnutls_certificate_verify_peers(gnutls_session_t session, gnutls_typed_vdata_st *data, unsigned count, unsigned *status)
{
    FIND(gnutls_certificate_verify_peers, session, GNUTLS_E_INTERNAL_ERROR)
    int result = real(session, data, count, status);

    if (conn != NULL && result >= 0 && !gtls_told_data(conn, data, count))
        *status |= GNUTLS_CERT_INVALID;
    return result;
}

/* The program checks a certificate by itself. GnuTLS calls these, too, while it verifies. */
#define IS_PROGRAMS (is_usable(gtls) && !gtls_calls(gtls, __builtin_return_address(0)))

EXPORT unsigned gnutls_x509_crt_check_hostname(gnutls_x509_crt_t crt, const char *name)
{
    FIND_FOR_CALLER(gnutls_x509_crt_check_hostname, 0)
    unsigned result = real(crt, name);

    return !IS_PROGRAMS || gtls_told_name(gtls, crt, NULL, name) ? result : 0;
}

EXPORT unsigned gnutls_x509_crt_check_hostname2(gnutls_x509_crt_t crt, const char *name, unsigned flags)
{
    FIND_FOR_CALLER(gnutls_x509_crt_check_hostname2, 0)
    unsigned result = real(crt, name, flags);

    return !IS_PROGRAMS || gtls_told_name(gtls, crt, NULL, name) ? result : 0;
}

EXPORT unsigned gnutls_x509_crt_check_ip(gnutls_x509_crt_t crt, const unsigned char *address, unsigned size, unsigned flags)
{
    FIND_FOR_CALLER(gnutls_x509_crt_check_ip, 0)
    const gnutls_typed_vdata_st data = {.type = GNUTLS_DT_IP_ADDRESS, .data = (unsigned char *)(uintptr_t)address, .size = size};
    unsigned result = real(crt, address, size, flags);

    return !IS_PROGRAMS || gtls_told_apart(gtls, crt, NULL, &data, 1) ? result : 0;
}

EXPORT int gnutls_x509_trust_list_verify_crt2(gnutls_x509_trust_list_t list, gnutls_x509_crt_t *crts, unsigned crt_count, gnutls_typed_vdata_st *data,
    unsigned count, unsigned flags, unsigned *status, gnutls_verify_output_function function)
{
    FIND_FOR_CALLER(gnutls_x509_trust_list_verify_crt2, GNUTLS_E_INTERNAL_ERROR)
    int result = real(list, crts, crt_count, data, count, flags, status, function);

    if (IS_PROGRAMS && result >= 0 && crt_count > 0 && !gtls_told_apart(gtls, crts[0], NULL, data, count))
        *status |= GNUTLS_CERT_INVALID;
    return result;
}

EXPORT int gnutls_x509_trust_list_verify_named_crt(gnutls_x509_trust_list_t list, gnutls_x509_crt_t crt, const void *name, size_t size, unsigned flags,
    unsigned *status, gnutls_verify_output_function function)
{
    FIND_FOR_CALLER(gnutls_x509_trust_list_verify_named_crt, GNUTLS_E_INTERNAL_ERROR)
    char text[HOST_NAME_MAX_LENGTH + 2] = "";
    gnutls_typed_vdata_st asked = {.type = GNUTLS_DT_DNS_HOSTNAME, .data = (unsigned char *)text};
    int result = real(list, crt, name, size, flags, status, function);

    if (name != NULL)
        memcpy(text, name, size < sizeof(text) ? size : sizeof(text) - 1);
    if (IS_PROGRAMS && result >= 0 && size > 0 && !gtls_told_apart(gtls, crt, NULL, &asked, 1))
        *status |= GNUTLS_CERT_INVALID;
    return result;
}

EXPORT int gnutls_verify_stored_pubkey(const char *file, gnutls_tdb_t store, const char *host, const char *service, gnutls_certificate_type_t type,
    const gnutls_datum_t *certificate, unsigned flags)
{
    FIND_FOR_CALLER(gnutls_verify_stored_pubkey, GNUTLS_E_INTERNAL_ERROR)
    int result = real(file, store, host, service, type, certificate, flags);

    return !IS_PROGRAMS || type != GNUTLS_CRT_X509 || gtls_told_name(gtls, NULL, certificate, host) ? result : GNUTLS_E_CERTIFICATE_KEY_MISMATCH;
}

/* On a refused connection nothing moves. */
#define SENDS(name, parameters, ...) \
    EXPORT int name parameters \
    { \
        FIND(name, session, GNUTLS_E_INTERNAL_ERROR) \
 \
        return conn == NULL || conn->phase != PHASE_REFUSED ? real(__VA_ARGS__) : REFUSED; \
    }

/* Return 0 if the program's data may leave, else what the call from `caller` returns; NULL: not one by which GnuTLS itself sends early data. */
static inline int may_write(struct conn *conn, const void *caller)
{
    return conn == NULL || conn->phase == PHASE_CONFIRMED ? 0 : gtls_handshake_may_write(conn, gtls_calls(conn->gtls, caller));
}

/* gnutls_record_send_file of this thread passes on what the program has not given. */
static _Thread_local bool sends_file;

/* On which a call of this thread writes. */
static _Thread_local gnutls_session_t writes_on;

/* The same. What was written may be a request to a proxy; GnuTLS's own calls, within one for the same session, pass on what it was given. (A call that comes from
 * GnuTLS may also be a session's push function, or what that ends in a jump to.) A call without bytes sends what an interrupted one
 * has left. Within any other function than gnutls_record_send, it is not gnutls_record_send_file that passes on: that one may have been left by a jump. */
#define WRITES(name, counts, parameters, ...) \
    EXPORT ssize_t name parameters \
    { \
        FIND(name, session, GNUTLS_E_INTERNAL_ERROR) \
        const bool before = sends_file; \
        gnutls_session_t outer = writes_on; \
        ssize_t result = may_write(conn, __builtin_return_address(0)); \
 \
        if (result != 0) \
            return result; \
        sends_file = counts; \
        writes_on = session; \
        result = real(__VA_ARGS__); \
        sends_file = before; \
        writes_on = outer; \
        if (conn != NULL && result > 0 && size >= (size_t)result && __builtin_expect(within_may_look(bytes), 0) \
            && (counts || outer != session || !gtls_calls(gtls, __builtin_return_address(0)))) \
            gtls_handshake_was_written(conn, bytes, (size_t)result); \
        return result; \
    }

WRITES(gnutls_record_send, sends_file, (gnutls_session_t session, const void *bytes, size_t size), session, bytes, size)
WRITES(gnutls_record_send2, false, (gnutls_session_t session, const void *bytes, size_t size, size_t pad, unsigned flags), session, bytes, size, pad, flags)
WRITES(gnutls_record_send_range, false, (gnutls_session_t session, const void *bytes, size_t size, const gnutls_range_st *range), session, bytes, size,
    range)

EXPORT ssize_t gnutls_record_send_file(gnutls_session_t session, int fd, off_t *offset, size_t size)
{
    FIND(gnutls_record_send_file, session, GNUTLS_E_INTERNAL_ERROR)
    ssize_t result = may_write(conn, NULL);

    if (result != 0)
        return result;
    sends_file = true;
    result = real(session, fd, offset, size);
    sends_file = false;
    return result;
}
EXPORT int gnutls_record_uncork(gnutls_session_t session, unsigned flags)
{
    FIND(gnutls_record_uncork, session, GNUTLS_E_INTERNAL_ERROR)
    const bool before = sends_file;
    gnutls_session_t outer = writes_on;
    int result = may_write(conn, NULL);

    if (result != 0)
        return result;
    sends_file = false;
    writes_on = session;
    result = real(session, flags);
    sends_file = before;
    writes_on = outer;
    return result;
}

SENDS(gnutls_bye, (gnutls_session_t session, gnutls_close_request_t how), session, how)
SENDS(gnutls_alert_send, (gnutls_session_t session, gnutls_alert_level_t level, gnutls_alert_description_t alert), session, level, alert)
SENDS(gnutls_alert_send_appropriate, (gnutls_session_t session, int error), session, error)
SENDS(gnutls_heartbeat_ping, (gnutls_session_t session, size_t size, unsigned tries, unsigned flags), session, size, tries, flags)
SENDS(gnutls_heartbeat_pong, (gnutls_session_t session, unsigned flags), session, flags)
SENDS(gnutls_session_key_update, (gnutls_session_t session, unsigned flags), session, flags)

/* It may send the client's certificate. */
EXPORT int gnutls_reauth(gnutls_session_t session, unsigned flags)
{
    FIND(gnutls_reauth, session, GNUTLS_E_INTERNAL_ERROR)
    int result = may_write(conn, NULL);

    return result != 0 ? result : real(session, flags);
}

/* A program that has these may send without GnuTLS. */
EXPORT int gnutls_record_get_state(gnutls_session_t session, unsigned read, gnutls_datum_t *mac, gnutls_datum_t *iv, gnutls_datum_t *key,
    unsigned char sequence[8])
{
    FIND(gnutls_record_get_state, session, GNUTLS_E_INTERNAL_ERROR)
    int result = may_write(conn, NULL);

    return result != 0 ? result : real(session, read, mac, iv, key, sequence);
}

EXPORT ssize_t gnutls_record_send_early_data(gnutls_session_t session, const void *bytes, size_t size)
{
    FIND(gnutls_record_send_early_data, session, GNUTLS_E_INTERNAL_ERROR)

    if (conn != NULL && !gtls_handshake_may_send_early(conn))
        return REFUSED;
    /* The session is withheld. GnuTLS would drop the data; 3.7.1 crashes. */
    return conn != NULL && conn->held != NULL && !conn->offered ? 0 : real(session, bytes, size);
}

/* They may drive a handshake: after a false start, or one that the server asks for (GNUTLS_AUTO_REAUTH). */
#define RECEIVES(type, name, parameters, ...) \
    EXPORT type name parameters \
    { \
        FIND(name, session, GNUTLS_E_INTERNAL_ERROR) \
        type result; \
 \
        if (conn != NULL && conn->phase == PHASE_REFUSED) \
            return REFUSED; \
        result = real(__VA_ARGS__); \
        return conn == NULL || (conn->phase == PHASE_CONFIRMED && conn->client == NULL) || gtls_handshake_was_read(conn, result) ? result : REFUSED; \
    }

RECEIVES(ssize_t, gnutls_record_recv, (gnutls_session_t session, void *bytes, size_t size), session, bytes, size)
RECEIVES(ssize_t, gnutls_record_recv_seq, (gnutls_session_t session, void *bytes, size_t size, unsigned char *sequence), session, bytes, size, sequence)
RECEIVES(ssize_t, gnutls_record_recv_packet, (gnutls_session_t session, gnutls_packet_t *packet), session, packet)

/* QUIC: what the peer has sent of the handshake. */
EXPORT int gnutls_handshake_write(gnutls_session_t session, gnutls_record_encryption_level_t level, const void *bytes, size_t size)
{
    FIND(gnutls_handshake_write, session, GNUTLS_E_INTERNAL_ERROR)

    return conn == NULL || conn->phase != PHASE_REFUSED ? real(session, level, bytes, size) : REFUSED;
}
