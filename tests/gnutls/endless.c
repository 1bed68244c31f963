/* endless GOOD IMPOSTOR COUNT|SECONDSs [threads=N] [asks]: COUNT handshakes in one process, or as many as SECONDS allow ("20s"), in N threads at once, over pairs
 * of sockets (NAME.pem and NAME.key): the counterpart of tests/programs/endless.c and threads.c. In turn: the good server over TLS 1.2 and 1.3, the impostor, a
 * session resumed that any thread got, credentials of the connection's own with a verify function. asks: both servers ask for a client certificate; the
 * good one gets one in each full handshake, the impostor none. Prints memory and descriptors after a tenth and at the end. Exits with 0 if every
 * handshake came out as the pins say, and with one thread nothing grew by more than TOLERANCE. */

#include "gnutls.h"
#include <dirent.h>
#include <limits.h>
#include <netdb.h>
#include <pthread.h>
#include <stdatomic.h>

#define TOLERANCE 512 /* kB of resident memory */

enum way { OLDER = 0, NEWER, IMPOSTOR, RESUMED, RESUMED_OLDER, OWN, WAYS };

struct server {
    gnutls_certificate_credentials_t shown;
    gnutls_datum_t ticket_key;
};

static struct server good;
static struct server impostor;
static gnutls_certificate_credentials_t shared;
static bool asks;
static long count;
static time_t end;
static atomic_long turn;
static atomic_long accepted;
static atomic_long refused;
static atomic_long resumed;
static atomic_int faults;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static gnutls_datum_t kept[2]; /* of TLS 1.3, of 1.2 */
static pthread_barrier_t barrier;
static long memory_then;
static long descriptors_then;

static struct server server_of(const char *prefix)
{
    struct server made;
    char certificate[4096];
    char key[4096];

    snprintf(certificate, sizeof(certificate), "%s.pem", prefix);
    snprintf(key, sizeof(key), "%s.key", prefix);
    must(gnutls_certificate_allocate_credentials(&made.shown), "credentials");
    must(gnutls_certificate_set_x509_key_file(made.shown, certificate, key, GNUTLS_X509_FMT_PEM), prefix);
    must(gnutls_session_ticket_key_generate(&made.ticket_key), "ticket");
    return made;
}

static int trust_all(gnutls_session_t session)
{
    (void)session;
    return 0;
}

static bool is_older(enum way way)
{
    return way == OLDER || way == RESUMED_OLDER;
}

static void keep(gnutls_session_t session, enum way way)
{
    gnutls_datum_t data = {NULL, 0};

    if (gnutls_session_get_data2(session, &data) < 0)
        return;
    pthread_mutex_lock(&lock);
    gnutls_free(kept[is_older(way)].data);
    kept[is_older(way)] = data;
    pthread_mutex_unlock(&lock);
}

static void take(gnutls_session_t session, enum way way)
{
    const gnutls_datum_t *data = &kept[is_older(way)];

    pthread_mutex_lock(&lock);
    if (data->data != NULL)
        (void)gnutls_session_set_data(session, data->data, data->size);
    pthread_mutex_unlock(&lock);
}

static gnutls_session_t serving(const struct server *server, int fd)
{
    gnutls_session_t session;

    must(gnutls_init(&session, GNUTLS_SERVER | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL), "gnutls_init");
    must(gnutls_set_default_priority(session), "priority");
    must(gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, server->shown), "credentials");
    must(gnutls_session_ticket_enable_server(session, &server->ticket_key), "ticket");
    gnutls_certificate_server_set_request(session, asks ? GNUTLS_CERT_REQUEST : GNUTLS_CERT_IGNORE);
    gnutls_transport_set_int(session, fd);
    return session;
}

static gnutls_session_t connecting(char **argv, enum way way, gnutls_certificate_credentials_t own, int fd)
{
    gnutls_session_t session;

    must(gnutls_init(&session, GNUTLS_CLIENT | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL), "gnutls_init");
    set_priority(session, argv, is_older(way) ? ":-VERS-ALL:+VERS-TLS1.2" : "");
    must(gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, own), "credentials");
    must(gnutls_server_name_set(session, GNUTLS_NAME_DNS, PINNED, strlen(PINNED)), "name");
    gnutls_transport_set_int(session, fd);
    return session;
}

static void shake(char **argv, enum way way)
{
    const struct server *server = way == IMPOSTOR ? &impostor : &good;
    gnutls_certificate_credentials_t own = way == OWN ? credentials(argv) : shared;
    gnutls_session_t client;
    gnutls_session_t peer;
    unsigned identities = 0;
    char byte = 0;
    int ends[2];
    int results[2] = {GNUTLS_E_AGAIN, GNUTLS_E_AGAIN};
    bool done;
    bool again;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) != 0)
        die("socketpair");
    if (way == OWN)
        gnutls_certificate_set_verify_function(own, trust_all);
    client = connecting(argv, way, own, ends[0]);
    peer = serving(server, ends[1]);
    if (way == RESUMED || way == RESUMED_OLDER)
        take(client, way);
    for (int i = 0; i < 20 && (results[0] != 0 || results[1] != 0); i++) {
        if (results[0] != 0 && !gnutls_error_is_fatal(results[0]))
            results[0] = gnutls_handshake(client);
        if (results[1] != 0 && !gnutls_error_is_fatal(results[1]))
            results[1] = gnutls_handshake(peer);
    }
    done = gnutls_record_send(client, "x", 1) == 1;
    (void)!gnutls_record_recv(peer, &byte, 1);
    if (results[0] < 0)
        byte = 0;
    done = done && byte == 'x';
    (void)!gnutls_record_send(peer, "y", 1);
    again = gnutls_session_is_resumed(client) != 0;
    if (done && gnutls_record_recv(client, &byte, 1) != 1)
        (void)!gnutls_record_recv(client, &byte, 1); /* the tickets were before it */
    (void)gnutls_certificate_get_peers(peer, &identities);
    if (done != (way != IMPOSTOR) || (asks && !again && (identities > 0) != done)) {
        fprintf(stderr, "endless: way %d: %s and %s; %s, %u client certificates\n", (int)way, gnutls_strerror(results[0]), gnutls_strerror(results[1]),
            done ? "accepted" : "refused", identities);
        atomic_fetch_add(&faults, 1);
    }
    atomic_fetch_add(done ? &accepted : &refused, 1);
    atomic_fetch_add(&resumed, again);
    if (done)
        keep(client, way);
    (void)gnutls_bye(client, GNUTLS_SHUT_WR);
    gnutls_deinit(client);
    gnutls_deinit(peer);
    close(ends[0]);
    close(ends[1]);
    if (way == OWN)
        gnutls_certificate_free_credentials(own);
}

static long memory(void)
{
    FILE *status = fopen("/proc/self/status", "r");
    char line[256];
    long kilobytes = -1;

    while (status != NULL && fgets(line, sizeof(line), status) != NULL)
        (void)sscanf(line, "VmRSS: %ld", &kilobytes);
    fclose(status);
    return kilobytes;
}

static long descriptors(void)
{
    DIR *directory = opendir("/proc/self/fd");
    long number = 0;

    while (directory != NULL && readdir(directory) != NULL)
        number++;
    closedir(directory);
    return number - 3; /* itself, and two dots */
}

static void *run(void *argument)
{
    char **argv = argument;
    long number;

    /* All at once: the first of them finds the library and reads the pins. */
    pthread_barrier_wait(&barrier);
    while ((number = atomic_fetch_add(&turn, 1)) < count && (end == 0 || time(NULL) < end)) {
        struct addrinfo *found = NULL;

        if (number % 7 == 0 && getaddrinfo("localhost", NULL, NULL, &found) == 0)
            freeaddrinfo(found);
        shake(argv, (enum way)(number % WAYS));
        if (number + 1 == count / 10) {
            memory_then = memory();
            descriptors_then = descriptors();
            printf("after %7ld handshakes: %ld kB resident, %ld descriptors\n", number + 1, memory_then, descriptors_then);
        }
    }
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t running[64];
    int threads = atoi(option(argv, "threads", "1"));

    if (argc < 4 || threads < 1 || threads > 64)
        return 2;
    asks = word(argv, "asks");
    count = atol(argv[3]);
    if (strchr(argv[3], 's') != NULL) {
        end = time(NULL) + count;
        count = LONG_MAX;
    }
    signal(SIGPIPE, SIG_IGN);
    good = server_of(argv[1]);
    impostor = server_of(argv[2]);
    shared = credentials(argv);
    pthread_barrier_init(&barrier, NULL, (unsigned)threads);
    for (int i = 0; i < threads; i++) {
        if (pthread_create(&running[i], NULL, run, argv) != 0)
            die("pthread_create");
    }
    for (int i = 0; i < threads; i++)
        pthread_join(running[i], NULL);
    if (end == 0)
        printf("after %7ld handshakes: %ld kB resident, %ld descriptors; %ld resumed, %ld refused\n", count, memory(), descriptors(), resumed, refused);
    else
        printf("%d threads: %ld accepted, %ld refused, %ld resumed, %d not as the pins say\n", threads, accepted, refused, resumed, (int)faults);
    gnutls_free(kept[0].data);
    gnutls_free(kept[1].data);
    gnutls_certificate_free_credentials(shared);
    return faults == 0 && accepted > 0 && refused > 0 && resumed > 0
        && (end != 0 || threads > 1 || (memory() - memory_then <= TOLERANCE && descriptors() == descriptors_then)) ? 0 : 1;
}
