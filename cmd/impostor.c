#include "impostor.h"

#include "hello.h"
#include "objects.h"
#include "output.h"
#include "plaintext.h"
#include "policy.h"
#include "proxy_request.h"
#include "workers.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define SILENCE 300 /* milliseconds: then the server is to speak first */
#define IDLE 2000 /* milliseconds after which nothing more is expected */
#define LONGEST 30000
#define DAYS 7

/* One connection, in a process of its own. */
struct session {
    const struct impostor *impostor;
    struct met *met;
    int client;
    int server; /* -1: not connected */
    char names[1100]; /* that the program resolved to the address, with commas between */
    struct plaintext plaintext;
    struct proxy_request request; /* where the address is a proxy's */
    bool meant; /* for a pinned target, by its address or a resolved name */
    bool tried; /* to reach the server */
};

static bool add_extension(X509 *certificate, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509_EXTENSION *extension;
    bool good;

    X509V3_set_ctx(&ctx, issuer, certificate, NULL, NULL, 0);
    extension = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    good = extension != NULL && X509_add_ext(certificate, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return good;
}

/* Make a certificate; `issuer` NULL: a CA of its own. `names` is a subjectAltName. */
static X509 *issue(EVP_PKEY *key, X509 *issuer, EVP_PKEY *issuer_key, const char *common_name, const char *names)
{
    X509 *certificate = X509_new();
    uint64_t serial = 0;
    X509_NAME *name = X509_NAME_new();
    bool good;

    if (name == NULL || certificate == NULL || RAND_bytes((unsigned char *)&serial, sizeof(serial)) != 1) {
        X509_NAME_free(name);
        X509_free(certificate);
        return NULL;
    }
    good = X509_set_version(certificate, 2) == 1 && ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate), serial >> 1) == 1
        && X509_gmtime_adj(X509_getm_notBefore(certificate), -3600) != NULL
        && X509_gmtime_adj(X509_getm_notAfter(certificate), DAYS * 86400L) != NULL
        && X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)common_name, -1, -1, 0) == 1
        && X509_set_subject_name(certificate, name) == 1
        && X509_set_issuer_name(certificate, issuer != NULL ? X509_get_subject_name(issuer) : name) == 1 && X509_set_pubkey(certificate, key) == 1;
    X509_NAME_free(name);
    if (issuer == NULL)
        issuer = certificate;
    good = good && add_extension(certificate, issuer, NID_basic_constraints, issuer == certificate ? "critical,CA:TRUE" : "critical,CA:FALSE")
        && add_extension(certificate, issuer, NID_subject_key_identifier, "hash")
        && add_extension(certificate, issuer, NID_authority_key_identifier, "keyid");
    if (issuer == certificate)
        good = good && add_extension(certificate, issuer, NID_key_usage, "critical,keyCertSign,cRLSign");
    else
        good = good && add_extension(certificate, issuer, NID_ext_key_usage, "serverAuth")
            && add_extension(certificate, issuer, NID_subject_alt_name, names);
    if (!good || X509_sign(certificate, issuer_key, EVP_sha256()) == 0) {
        X509_free(certificate);
        return NULL;
    }
    return certificate;
}

static EVP_PKEY *make_key(int type)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_id(type, NULL);
    EVP_PKEY *key = NULL;
    bool good = ctx != NULL && EVP_PKEY_keygen_init(ctx) == 1;

    if (good && type == EVP_PKEY_EC)
        good = EVP_PKEY_CTX_set_ec_paramgen_curve_nid(ctx, NID_X9_62_prime256v1) == 1;
    else if (good)
        good = EVP_PKEY_CTX_set_rsa_keygen_bits(ctx, 2048) == 1;
    if (!good || EVP_PKEY_keygen(ctx, &key) != 1)
        key = NULL;
    EVP_PKEY_CTX_free(ctx);
    return key;
}

bool impostor_read_ca(const char *path, struct impostor *impostor, struct text *problem)
{
    struct objects objects = {NULL, 0};
    const struct object *key;

    if (!objects_read(path, &objects, problem))
        return false;
    key = objects_find(&objects, OBJECT_KEY);
    for (size_t i = 0; i < objects.count && impostor->ca == NULL; i++) {
        X509 *certificate = objects.at[i].certificate;

        if (certificate != NULL && X509_check_ca(certificate) != 0 && key != NULL && X509_check_private_key(certificate, key->key) == 1
            && X509_up_ref(certificate) == 1)
            impostor->ca = certificate;
    }
    if (impostor->ca != NULL && EVP_PKEY_up_ref(key->key) == 1)
        impostor->ca_key = key->key;
    objects_free(&objects);
    ERR_clear_error();
    if (impostor->ca_key == NULL)
        text_add(problem, "this is not a CA's certificate with its private key; expected both in one PEM file: cat ca.pem ca.key >both.pem");
    return impostor->ca_key != NULL;
}

bool impostor_is(const struct impostor *impostor, const char *spki)
{
    return strcmp(impostor->spki[0], spki) == 0 || strcmp(impostor->spki[1], spki) == 0;
}

static void note_key(struct impostor *impostor, size_t index, int type)
{
    struct object object = {.kind = OBJECT_KEY, .key = impostor->keys[index] = make_key(type)};
    struct text text = text_over(impostor->spki[index], sizeof(impostor->spki[index]));
    uint8_t digest[32];

    if (object.key != NULL && objects_spki(&object, digest))
        text_add_base64(&text, digest, sizeof(digest));
}

/* What the program meant, for the policy: by its ClientHello, if there is one yet. */
struct meant {
    struct target target; /* first */
    const char *names;
};

static bool next_resolved(const struct target *target, uintptr_t *cursor, struct host *out)
{
    const char *names = ((const struct meant *)(const void *)target)->names + *cursor;
    size_t length = strcspn(names, ",");

    if (length == 0)
        return false;
    (void)host_parse(names, length, out);
    out->port = target_at(target, target->count - 1)->port;
    *cursor += length + (names[length] == ',');
    return true;
}

static bool was_resolved(const char *names, const struct host *host)
{
    struct host resolved;

    for (size_t length; (length = strcspn(names, ",")) != 0; names += length + (names[length] == ',')) {
        (void)host_parse(names, length, &resolved);
        if (host_same(&resolved, host))
            return true;
    }
    return false;
}

/* Return true if the rules demand something of the target; its name is then known. */
static bool is_pinned(struct session *session, const struct hello *hello)
{
    static const struct peer nobody;
    struct meant meant;
    struct judgement judgement;
    struct text text;
    struct host host;
    struct host place = session->met->address;

    memset(&meant, 0, sizeof(meant));
    meant.names = session->names;
    if (proxy_request_host(&session->request, &host) == PROXY_ASKED) {
        place = host;
        meant.names = "";
    }
    if (hello != NULL && hello->sni_length > 0) {
        (void)host_parse(hello->sni, hello->sni_length, &host);
        host.port = place.port;
        host.port_doubtful = !host_same(&host, &place) && !was_resolved(meant.names, &host);
        meant.target.named = true;
        (void)target_add(&meant.target, &host);
    }
    meant.target.named |= place.kind == HOST_NAME;
    (void)target_add(&meant.target, &place);
    meant.target.next_resolved = next_resolved;
    policy_judge(session->impostor->pins, &meant.target, &nobody, &judgement);
    if (judgement.verdict == VERDICT_ACCEPT)
        return false;
    if (session->met->target[0] == '\0' || hello != NULL) {
        text = text_over(session->met->target, sizeof(session->met->target));
        host_print(&judgement.host, &text);
    }
    return session->met->pinned = true;
}

/* Write the subjectAltName of a certificate that satisfies any check of names. */
static void print_names(const struct session *session, const struct hello *hello, struct text *out)
{
    const char *names = session->names;
    struct host host;

    text_add(out, "IP:");
    host_print_bare(&session->met->address, out);
    if (hello->sni_length > 0 && host_parse(hello->sni, hello->sni_length, &host) == HOST_NAME)
        text_add(out, ",DNS:%s", host.name);
    for (size_t length; (length = strcspn(names, ",")) != 0; names += length + (names[length] == ',')) {
        if (host_parse(names, length, &host) == HOST_NAME)
            text_add(out, ",DNS:%s", host.name);
    }
}

static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *size, const unsigned char *offered, unsigned length, void *arg)
{
    (void)ssl;
    (void)length;
    (void)arg;
    *out = offered + 1;
    *size = offered[0];
    return SSL_TLSEXT_ERR_OK;
}

static int take_any(X509_STORE_CTX *ctx, void *arg)
{
    (void)ctx;
    (void)arg;
    return 1;
}

/* Whatever version and key the program accepts. */
static SSL_CTX *make_context(const struct session *session, const struct hello *hello)
{
    const struct impostor *impostor = session->impostor;
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    char buffer[3000];
    struct text names = text_over(buffer, sizeof(buffer));

    if (ctx == NULL)
        return NULL;
    print_names(session, hello, &names);
    (void)SSL_CTX_set_min_proto_version(ctx, TLS1_VERSION);
    (void)SSL_CTX_set_cipher_list(ctx, "DEFAULT:@SECLEVEL=0");
    SSL_CTX_set_alpn_select_cb(ctx, choose_protocol, NULL);
    /* As an attacker would who wants the client's. */
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_cert_verify_callback(ctx, take_any, NULL);
    (void)SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    for (size_t i = 0; i < 2; i++) {
        X509 *leaf = issue(impostor->keys[i], impostor->ca, impostor->ca_key, "pinshim prove", buffer);

        if (leaf == NULL || SSL_CTX_use_certificate(ctx, leaf) != 1 || SSL_CTX_use_PrivateKey(ctx, impostor->keys[i]) != 1
            || SSL_CTX_add1_chain_cert(ctx, impostor->ca) != 1) {
            X509_free(leaf);
            SSL_CTX_free(ctx);
            return NULL;
        }
        X509_free(leaf);
    }
    return ctx;
}

static void set_patience(int fd, unsigned milliseconds)
{
    const struct timeval patience = {(time_t)(milliseconds / 1000), (suseconds_t)(milliseconds % 1000) * 1000};

    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
}

/* Be the server, for as long as the program sends. */
static void impersonate(struct session *session, const struct hello *hello)
{
    struct met *met = session->met;
    SSL_CTX *ctx = make_context(session, hello);
    SSL *ssl = ctx != NULL ? SSL_new(ctx) : NULL;
    struct text said = text_over(met->said, sizeof(met->said));
    unsigned char bytes[16384];
    int got;

    met->stage = STAGE_HANDSHAKE;
    set_patience(session->client, 10000);
    ERR_clear_error();
    if (ssl != NULL && SSL_set_fd(ssl, session->client) == 1 && SSL_accept(ssl) == 1) {
        X509 *peer = SSL_get_peer_certificate(ssl);

        met->stage = STAGE_DONE;
        met->client_cert = peer != NULL;
        X509_free(peer);
        set_patience(session->client, IDLE);
        while ((got = SSL_read(ssl, bytes, sizeof(bytes))) > 0)
            met->bytes += (uint64_t)got;
    } else {
        const char *reason = ERR_reason_error_string(ERR_peek_last_error());

        text_add(&said, "%s", reason != NULL ? reason : "closed the connection");
    }
    SSL_free(ssl);
    SSL_CTX_free(ctx);
}

static int reach(const struct host *address)
{
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(address->port)};
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(address->port)};
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    const struct timeval patience = {5, 0};
    bool four = memcmp(address->address, mapped, sizeof(mapped)) == 0;
    int fd = socket(four ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);

    memcpy(&in6.sin6_addr, address->address, 16);
    memcpy(&in.sin_addr, address->address + 12, 4);
    if (fd >= 0)
        (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    if (fd >= 0 && connect(fd, four ? (const void *)&in : &in6, four ? sizeof(in) : sizeof(in6)) == 0)
        return fd;
    if (fd >= 0)
        (void)close(fd);
    return -1;
}

/* Once: a server that has hung up is not called again. */
static void call_server(struct session *session)
{
    if (!session->tried)
        session->server = reach(&session->met->address);
    session->tried = true;
}

static bool send_all(int fd, const unsigned char *at, size_t length)
{
    while (length > 0) {
        ssize_t sent = send(fd, at, length, MSG_NOSIGNAL);

        if (sent <= 0 && errno != EINTR)
            return false;
        at += sent > 0 ? sent : 0;
        length -= sent > 0 ? (size_t)sent : 0;
    }
    return true;
}

/* Take what comes in plaintext, which is not passed on. */
static void swallow(struct session *session)
{
    unsigned char bytes[16384];
    ssize_t got;

    if (session->server >= 0)
        (void)shutdown(session->server, SHUT_RDWR);
    set_patience(session->client, IDLE);
    while ((got = recv(session->client, bytes, sizeof(bytes), 0)) > 0)
        session->met->plain += (uint64_t)got;
}

/* It is not what the rules are for that the program speaks to: a proxy, or by its ClientHello another host at this address. */
static void leave(struct session *session)
{
    session->meant = session->met->pinned = false;
    session->met->stage = STAGE_PASSED_ON;
    session->met->target[0] = '\0';
}

/* Look at what comes next from the program: a ClientHello for a pinned target. Return false if more of it must come first. */
static bool look_for_hello(struct session *session, unsigned char *bytes, size_t size, bool last, bool *taken)
{
    const struct iovec part = {bytes, size};
    struct hello hello;
    enum hello_kind kind = hello_may_begin(bytes[0]) ? hello_read(&part, 1, &hello) : HELLO_NONE;

    *taken = false;
    if (kind == HELLO_NONE)
        return true;
    if ((kind == HELLO_BEGUN || !hello.whole) && !last)
        return false;
    if (kind == HELLO_CLIENT && is_pinned(session, &hello)) {
        impersonate(session, &hello);
        *taken = true;
    } else if (kind == HELLO_CLIENT) {
        leave(session);
    }
    return true;
}

/* Pass on what the program sends. Return false at the end. */
static bool pass_on(struct session *session)
{
    unsigned char bytes[16384];
    ssize_t size = recv(session->client, bytes, sizeof(bytes), MSG_PEEK);
    bool taken = false;
    struct host asked;

    if (size <= 0)
        return false;
    /* The rest of a ClientHello comes at once. */
    for (int tries = 0; !look_for_hello(session, bytes, (size_t)size, tries == 50, &taken) && tries < 50; tries++) {
        (void)poll(NULL, 0, 20);
        size = recv(session->client, bytes, sizeof(bytes), MSG_PEEK | MSG_DONTWAIT);
        if (size <= 0)
            return false;
    }
    if (taken)
        return false;
    proxy_request_read(&session->request, bytes, (size_t)size, (size_t)size);
    if (proxy_request_goes_on(&session->request) || proxy_request_host(&session->request, &asked) != PROXY_NOT_ASKED)
        leave(session);
    if (session->meant && !plaintext_allows(&session->plaintext, bytes, (size_t)size)) {
        swallow(session);
        return false;
    }
    call_server(session);
    size = recv(session->client, bytes, (size_t)size, 0);
    return size > 0 && session->server >= 0 && send_all(session->server, bytes, (size_t)size);
}

/* Between the program and the server that it meant, until TLS for a pinned target begins. */
static void stand_between(struct session *session)
{
    unsigned char bytes[16384];
    ssize_t size;
    int waited = 0;

    if (!session->meant)
        call_server(session);
    for (;;) {
        struct pollfd ends[2] = {{session->client, POLLIN, 0}, {session->server, POLLIN, 0}};
        bool lone = session->server < 0;
        int count = poll(ends, 2, session->meant || lone ? SILENCE : -1);

        if (count == 0) {
            /* The server is the one to speak. Where none can be reached, a ClientHello may say that it is meant for a pinned target after all. */
            call_server(session);
            waited += SILENCE;
            if (waited >= (session->meant ? LONGEST : IDLE / 2))
                return;
            continue;
        }
        if (count < 0 && errno != EINTR)
            return;
        if (session->server >= 0 && ends[1].revents != 0) {
            size = recv(session->server, bytes, sizeof(bytes), 0);
            if (size > 0 && !send_all(session->client, bytes, (size_t)size))
                return;
            if (size <= 0) {
                (void)shutdown(session->client, SHUT_WR);
                if (!session->meant && ends[0].revents == 0)
                    return;
                (void)close(session->server);
                session->server = -1;
            }
        }
        if (ends[0].revents != 0 && !pass_on(session))
            return;
    }
}

/* Read the line of redirect.c: "pinshim-prove WORD PID ADDRESS PORT PROGRAM NAMES". */
static bool read_introduction(struct session *session)
{
    struct met *met = session->met;
    char line[2000];
    char address[64];
    char word[70] = "";
    char port[8];
    char pid[16];
    size_t length = 0;

    set_patience(session->client, 2000);
    while (length + 1 < sizeof(line) && recv(session->client, line + length, 1, 0) == 1 && line[length] != '\n')
        length++;
    line[length] = '\0';
    set_patience(session->client, 0);
    session->names[0] = '\0';
    if (sscanf(line, "pinshim-prove %69s %15s %63s %7s %255s %1099s", word, pid, address, port, met->exe, session->names) < 5
        || CRYPTO_memcmp(word, session->impostor->word, sizeof(session->impostor->word)) != 0)
        return false;
    met->pid = (pid_t)strtol(pid, NULL, 10);
    met->address.kind = HOST_ADDRESS;
    met->address.port = text_port(port, strlen(port));
    return host_parse_address(address, strlen(address), met->address.address);
}

static void serve(const struct impostor *impostor, int client, struct met *met)
{
    struct session session = {.impostor = impostor, .met = met, .client = client, .server = -1};

    if (!read_introduction(&session))
        return;
    /* Programs may skip the resolver for it (RFC 6761, section 6.3). */
    if (session.names[0] == '\0' && host_is_loopback(&met->address))
        strcpy(session.names, "localhost");
    session.meant = is_pinned(&session, NULL);
    if (session.meant)
        session.met->stage = STAGE_NO_TLS;
    stand_between(&session);
    if (session.server >= 0)
        (void)close(session.server);
    (void)close(client);
}

uint32_t impostor_count(const struct impostor *impostor)
{
    return *impostor->count;
}

static void run(const struct impostor *impostor, int listener)
{
    (void)setpgid(0, 0);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)signal(SIGCHLD, SIG_IGN);
    (void)signal(SIGPIPE, SIG_IGN);
    for (;;) {
        int client = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        uint32_t number = impostor_count(impostor);
        pid_t child = client >= 0 && number < IMPOSTOR_MOST ? fork() : -1;

        if (child == 0) {
            (void)close(listener);
            (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
            serve(impostor, client, &impostor->met[number]);
            impostor->met[number].ended = true;
            _exit(0);
        }
        if (child > 0)
            (*impostor->count)++;
        if (client >= 0)
            (void)close(client);
        else if (errno != EINTR && errno != ECONNABORTED)
            _exit(1);
    }
}

static int listen_somewhere(uint16_t *port)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof(in);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || bind(fd, (const void *)&in, length) != 0 || listen(fd, 1024) != 0 || getsockname(fd, (void *)&in, &length) != 0)
        return -1;
    *port = ntohs(in.sin_port);
    return fd;
}

static bool make_word(struct impostor *impostor)
{
    struct text word = text_over(impostor->word, sizeof(impostor->word));
    uint8_t bytes[16];
    bool made = RAND_bytes(bytes, sizeof(bytes)) == 1;

    for (size_t i = 0; made && i < sizeof(bytes); i++)
        text_add(&word, "%02x", bytes[i]);
    return made;
}

bool impostor_start(struct impostor *impostor, struct text *problem)
{
    EVP_PKEY *own = NULL;
    int listener;

    if (!make_word(impostor)) {
        text_add(problem, "there are no random numbers");
        return false;
    }
    note_key(impostor, 0, EVP_PKEY_EC);
    note_key(impostor, 1, EVP_PKEY_RSA);
    if (impostor->ca == NULL) {
        own = make_key(EVP_PKEY_EC);
        impostor->ca_key = own;
        impostor->ca = own != NULL ? issue(own, NULL, own, "pinshim prove: impostor's CA", NULL) : NULL;
    }
    if (impostor->keys[0] == NULL || impostor->keys[1] == NULL || impostor->ca == NULL) {
        text_add(problem, "the impostor's certificates cannot be made: %s", ERR_reason_error_string(ERR_peek_last_error()));
        return false;
    }
    impostor->met = workers_share(IMPOSTOR_MOST * sizeof(*impostor->met));
    impostor->count = workers_share(sizeof(*impostor->count));
    listener = listen_somewhere(&impostor->port);
    impostor->server = listener >= 0 ? fork() : -1;
    if (impostor->server == 0)
        run(impostor, listener);
    if (impostor->server < 0)
        text_add(problem, "the impostor cannot be started on 127.0.0.1: %s", strerror(errno));
    if (listener >= 0)
        (void)close(listener);
    return impostor->server > 0;
}

/* Connections are accepted one after another: after one that is made now, all earlier ones have been. */
static void catch_up(const struct impostor *impostor)
{
    struct host here = {.kind = HOST_ADDRESS, .port = impostor->port, .address = {[10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1}};
    int fd = reach(&here);
    char end;

    if (fd < 0)
        return;
    set_patience(fd, 10000);
    (void)send_all(fd, (const unsigned char *)"\n", 1);
    (void)recv(fd, &end, 1, 0);
    (void)close(fd);
}

void impostor_stop(struct impostor *impostor)
{
    uint32_t open = 1;

    catch_up(impostor);
    for (int tries = 0; open > 0 && tries < 100; tries++) {
        open = 0;
        for (uint32_t i = 0; i < impostor_count(impostor); i++)
            open += !impostor->met[i].ended;
        if (open > 0)
            (void)poll(NULL, 0, 50);
    }
    (void)kill(-impostor->server, SIGKILL);
    (void)kill(impostor->server, SIGKILL);
    while (waitpid(impostor->server, NULL, 0) < 0 && errno == EINTR)
        ;
    EVP_PKEY_free(impostor->keys[0]);
    EVP_PKEY_free(impostor->keys[1]);
    EVP_PKEY_free(impostor->ca_key);
    X509_free(impostor->ca);
}
