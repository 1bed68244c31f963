#include "facts.h"

#include "socket.h"
#include "within.h"

#include <arpa/inet.h>
#include <string.h>

#define MOST_DESCRIPTORS (1 << 20)

bool gtls_facts_note(const struct gtls *gtls, struct told *told, const char *name, size_t length)
{
    gnutls_datum_t mapped = {NULL, 0};
    bool plain = text_is_plain(name, length);
    bool noted;

    if (plain || length > UINT32_MAX / 2 || gtls->gnutls_idna_map(name, (unsigned)length, &mapped, 0) < 0)
        return target_note_told(told, name, length);
    noted = target_note_told(told, (const char *)mapped.data, mapped.size);
    (*gtls->free)(mapped.data);
    return noted;
}

/* Read a name, or an address as text into `printed`. NULL: it is neither. */
static const char *name_of(const gnutls_typed_vdata_st *data, char printed[static INET6_ADDRSTRLEN], size_t *length)
{
    const char *bytes = (const char *)data->data;

    if (bytes == NULL)
        return NULL;
    /* As the library, which does not look at the size. */
    if (data->type == GNUTLS_DT_DNS_HOSTNAME) {
        *length = strlen(bytes);
        return bytes;
    }
    if (data->type != GNUTLS_DT_IP_ADDRESS || (data->size != 4 && data->size != 16)
        || inet_ntop(data->size == 4 ? AF_INET : AF_INET6, bytes, printed, INET6_ADDRSTRLEN) == NULL)
        return NULL;
    *length = strlen(printed);
    return printed;
}

void gtls_facts_set_named(const struct gtls *gtls, struct facts *facts, const gnutls_typed_vdata_st *data, unsigned count)
{
    char printed[INET6_ADDRSTRLEN];
    size_t length;

    for (unsigned i = 0; data != NULL && i < count; i++) {
        const char *name = name_of(&data[i], printed, &length);

        if (name != NULL)
            (void)gtls_facts_note(gtls, &facts->named, name, length);
    }
}

/* Nearly always it is the SNI. */
static bool is_known(const struct told *told, const char *name, size_t length)
{
    const char *known;
    size_t known_length;
    size_t at = 0;

    while (target_next_told(told, &at, &known, &known_length)) {
        if (known_length == length && memcmp(known, name, length) == 0)
            return true;
    }
    return false;
}

bool gtls_facts_note_data(const struct gtls *gtls, struct facts *facts, const gnutls_typed_vdata_st *data, unsigned count)
{
    char printed[INET6_ADDRSTRLEN];
    size_t length;
    bool noted = false;

    for (unsigned i = 0; data != NULL && i < count; i++) {
        const char *name = name_of(&data[i], printed, &length);

        if (name != NULL && !is_known(&facts->sni, name, length) && !is_known(&facts->named, name, length))
            noted |= gtls_facts_note(gtls, &facts->told, name, length);
    }
    return noted;
}

void gtls_facts_forget(struct facts *facts)
{
    target_forget_told(&facts->sni);
    target_forget_told(&facts->named);
    target_forget_told(&facts->told);
}

bool gtls_facts_made(const struct gtls *gtls, gnutls_session_t session, struct facts *facts)
{
    gnutls_datum_t client = {NULL, 0};
    gnutls_datum_t server = {NULL, 0};

    gtls->gnutls_session_get_random(session, &client, &server);
    /* A second ClientHello, which a server may ask for, has the random of the first. */
    if (client.data == NULL || client.size != HELLO_RANDOM || (facts->random_known && memcmp(facts->random, client.data, HELLO_RANDOM) == 0))
        return false;
    memcpy(facts->random, client.data, HELLO_RANDOM);
    facts->random_known = true;
    facts->sent.state = SENT_UNKNOWN;
    sent_made(facts->random);
    return true;
}

void gtls_facts_follow(struct facts *facts)
{
    if (facts->random_known && facts->sent.state != SENT_TO_ADDRESS)
        (void)sent_find(facts->random, &facts->sent);
}

/* Return the descriptor that the program has set, -1 if it is none. Programs with functions of their own for sending and receiving set any pointer; only a
 * small one is a descriptor. 0 is what GnuTLS has if none was set. */
static int transport(const struct gtls *gtls, gnutls_session_t session)
{
    gnutls_transport_ptr_t receives = NULL;
    gnutls_transport_ptr_t sends = NULL;

    gtls->gnutls_transport_get_ptr2(session, &receives, &sends);
    return (uintptr_t)sends > 0 && (uintptr_t)sends < MOST_DESCRIPTORS ? (int)(uintptr_t)sends : -1;
}

int gtls_facts_socket(const struct gtls *gtls, gnutls_session_t session, const struct facts *facts, bool *own)
{
    int fd = transport(gtls, session);
    bool sent = facts->sent.state == SENT_TO_ADDRESS || facts->sent.state == SENT_ELSEWHERE;

    *own = fd >= 0 && (!sent || facts->sent.fd == fd);
    return sent ? sent_socket(&facts->sent) : fd;
}

/* Find the address to which the connection leads: where the ClientHello went. A datagram socket need not be connected. */
static bool read_address(const struct gtls *gtls, gnutls_session_t session, const struct facts *facts, struct host *address)
{
    int fd = transport(gtls, session);

    memset(address, 0, sizeof(*address));
    if (facts->sent.state == SENT_TO_ADDRESS) {
        *address = facts->sent.to;
        return true;
    }
    return facts->sent.state != SENT_ELSEWHERE && fd >= 0 && socket_peer(fd, address);
}

bool gtls_facts_read(const struct gtls *gtls, gnutls_session_t session, const struct facts *facts, struct target *out, struct host *address)
{
    struct proxied proxied;
    struct host place;
    bool own;
    int fd;

    target_clear(out);
    target_add_told(out, &facts->sni);
    target_add_told(out, &facts->named);
    target_add_told(out, &facts->told);
    if (!read_address(gtls, session, facts, address))
        address->kind = HOST_UNREADABLE;
    if (!within_is_used() || !facts->random_known || !within_find(facts->random, &proxied)) {
        fd = gtls_facts_socket(gtls, session, facts, &own);
        proxy_of(fd, &proxied);
    }
    place = proxied.asked == PROXY_ASKED ? proxied.host : *address;
    target_lead(out, proxied.asked, &place);
    if (place.kind == HOST_UNREADABLE && !out->named && facts->random_known && proxied.asked == PROXY_NOT_ASKED)
        out->lost = within_hidden(facts->sent.state, false);
    return place.kind != HOST_UNREADABLE || facts->sent.state == SENT_ELSEWHERE;
}
