/* check HOST PORT HOW [name=NAME] [address=ADDRESS] [again=FILE] [thread]: a client that gives GnuTLS no name before the handshake, and checks the peer's certificate for NAME
 * (www.pinned.example), or ADDRESS, by itself, HOW:
 *   hostname, hostname2, ip      gnutls_x509_crt_check_hostname and its kin, when the handshake is over
 *   peers3, peers                gnutls_certificate_verify_peers3 and _peers with a name, then
 *   list, named                  gnutls_x509_trust_list_verify_crt2 with a name, and _verify_named_crt
 *   stored                       gnutls_verify_stored_pubkey
 *   inside, inside-peers3        hostname and peers3 within a verify function
 *   other                        hostname, of a certificate that nobody has presented
 * It goes on whatever comes out. again: FILE then becomes the pins file, and a second connection, which checks nothing, is to resume the session. thread: the check is
 * made in another thread. beside=NAME: before the check, another connection to the same server, with that name. */

#include "gnutls.h"
#include <pthread.h>

static const char *how;
static const char *name;
static const char *address;
static const char *store;
static int outcome = -1;

static gnutls_x509_crt_t leaf_of(gnutls_session_t session)
{
    unsigned int count = 0;
    const gnutls_datum_t *list = gnutls_certificate_get_peers(session, &count);
    gnutls_x509_crt_t made;

    if (list == NULL || count == 0)
        exit(2);
    gnutls_x509_crt_init(&made);
    must(gnutls_x509_crt_import(made, &list[0], GNUTLS_X509_FMT_DER), "certificate");
    return made;
}

/* Say what comes out, 0 if the certificate is right. */
static int check(gnutls_session_t session)
{
    gnutls_typed_vdata_st data = {GNUTLS_DT_DNS_HOSTNAME, (unsigned char *)name, 0};
    gnutls_x509_trust_list_t list;
    gnutls_x509_crt_t leaf = leaf_of(session);
    gnutls_datum_t other;
    unsigned int status = 1;
    unsigned char bytes[4];
    unsigned int count;
    int result;

    if (strcmp(how, "hostname") == 0 || strcmp(how, "inside") == 0)
        return gnutls_x509_crt_check_hostname(leaf, name) == 0;
    if (strcmp(how, "hostname2") == 0)
        return gnutls_x509_crt_check_hostname2(leaf, name, 0) == 0;
    if (strcmp(how, "ip") == 0) {
        if (sscanf(address, "%hhu.%hhu.%hhu.%hhu", &bytes[0], &bytes[1], &bytes[2], &bytes[3]) != 4)
            exit(2);
        return gnutls_x509_crt_check_ip(leaf, bytes, 4, 0) == 0;
    }
    if (strcmp(how, "other") == 0) {
        other = file(store, "");
        gnutls_x509_crt_import(leaf, &other, GNUTLS_X509_FMT_PEM);
        return gnutls_x509_crt_check_hostname(leaf, name) == 0;
    }
    if (strcmp(how, "peers3") == 0 || strcmp(how, "inside-peers3") == 0)
        return (result = gnutls_certificate_verify_peers3(session, name, &status)) < 0 ? result : (int)status;
    if (strcmp(how, "peers") == 0)
        return (result = gnutls_certificate_verify_peers(session, &data, 1, &status)) < 0 ? result : (int)status;
    if (strcmp(how, "stored") == 0) {
        const gnutls_datum_t *sent = gnutls_certificate_get_peers(session, &count);

        return gnutls_verify_stored_pubkey(store, NULL, name, "https", GNUTLS_CRT_X509, sent, 0);
    }
    gnutls_x509_trust_list_init(&list, 0);
    gnutls_x509_trust_list_add_trust_file(list, store, NULL, GNUTLS_X509_FMT_PEM, 0, 0);
    if (strcmp(how, "list") == 0)
        result = gnutls_x509_trust_list_verify_crt2(list, &leaf, 1, &data, 1, 0, &status, NULL);
    else if ((result = gnutls_x509_trust_list_add_named_crt(list, leaf, name, strlen(name), 0)) == 0)
        result = gnutls_x509_trust_list_verify_named_crt(list, leaf, name, strlen(name), 0, &status, NULL);
    return result < 0 ? result : (int)status;
}

static int verify(gnutls_session_t session)
{
    outcome = check(session);
    return 0;
}

static void *in_thread(void *session)
{
    outcome = check(session);
    return NULL;
}

int main(int argc, char **argv)
{
    gnutls_certificate_credentials_t own = credentials(argv);
    gnutls_datum_t data = {NULL, 0};
    gnutls_session_t beside = NULL;
    gnutls_session_t session;
    pthread_t thread;
    bool any;
    int fd;

    if (argc < 4)
        return 2;
    how = argv[3];
    name = option(argv, "name", PINNED);
    address = option(argv, "address", "127.0.0.1");
    store = option(argv, "store", "/dev/null");
    fd = open_socket(argv[1], argv[2], SOCK_STREAM);
    session = client(argv, own, fd, NULL, 0);
    if (strncmp(how, "inside", 6) == 0)
        gnutls_session_set_verify_function(session, verify);
    if (handshake(session) < 0)
        return 1;
    if (option(argv, "beside", NULL) != NULL) {
        beside = client(argv, own, open_socket(argv[1], argv[2], SOCK_STREAM), option(argv, "beside", ""), 0);
        if (handshake(beside) < 0)
            return 1;
    }
    if (word(argv, "thread") && pthread_create(&thread, NULL, in_thread, session) == 0)
        pthread_join(thread, NULL);
    else if (strncmp(how, "inside", 6) != 0)
        outcome = check(session);
    printf("the certificate is %s\n", outcome == 0 ? "right" : "wrong");
    any = fetch(session);
    if (beside != NULL)
        printf("beside: %d\n", fetch(beside));
    if (option(argv, "again", NULL) != NULL) {
        gnutls_session_get_data2(session, &data);
        if (rename(option(argv, "again", ""), getenv("PINSHIM_PINS")) != 0)
            die("rename");
        gnutls_bye(session, GNUTLS_SHUT_WR);
        gnutls_deinit(session);
        printf("the second connection\n");
        fd = open_socket(argv[1], argv[2], SOCK_STREAM);
        session = client(argv, own, fd, NULL, 0);
        gnutls_session_set_data(session, data.data, data.size);
        if (handshake(session) < 0)
            return 1;
        printf("resumed: %d\n", gnutls_session_is_resumed(session) != 0);
        any = fetch(session);
    }
    return any ? 0 : 1;
}
