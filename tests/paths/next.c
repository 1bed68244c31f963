/* next HOST PORT [tls1.2] [save=FILE] [load=FILE]: calls an object (this source with -DNEXT), which is to be preloaded, and which finds each function of libssl by
 * dlsym(RTLD_NEXT). It leaves a session of a connection for another name, and resumes it for PINNED; "save" writes it
 * to FILE instead, and "load" begins with that. */

#define PATHS_NO_SSL
#include "paths.h"
#include <dlfcn.h>

#ifdef NEXT

#define CALL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static SSL *connection(SSL_CTX *ctx, char **argv, const char *name, SSL_SESSION *session)
{
    SSL *ssl = CALL(SSL_new)(ctx);

    CALL(SSL_ctrl)(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, (void *)(uintptr_t)name);
    CALL(SSL_set_fd)(ssl, open_socket(argv[1], argv[2], SOCK_STREAM));
    if (session != NULL)
        CALL(SSL_set_session)(ssl, session);
    return CALL(SSL_connect)(ssl) == 1 && CALL(SSL_write)(ssl, REQUEST, strlen(REQUEST)) > 0 ? ssl : NULL;
}

__attribute__((visibility("default"))) int next(char **argv)
{
    SSL_CTX *ctx = CALL(SSL_CTX_new)(CALL(TLS_client_method)());
    const unsigned char *at;
    unsigned char *der;
    char answer[8192];
    SSL_SESSION *session;
    SSL *ssl;
    int got;

    if (getenv("PATHS_TRUST") != NULL) {
        CALL(SSL_CTX_load_verify_locations)(ctx, getenv("PATHS_TRUST"), NULL);
        CALL(SSL_CTX_set_verify)(ctx, SSL_VERIFY_PEER, NULL);
    }
    if (word(argv, "tls1.2"))
        CALL(SSL_CTX_ctrl)(ctx, SSL_CTRL_SET_MAX_PROTO_VERSION, TLS1_2_VERSION, NULL);
    if (option(argv, "load", NULL) == NULL) {
        ssl = connection(ctx, argv, "other.example", NULL);
        /* With the session's ticket. */
        if (ssl == NULL || CALL(SSL_read)(ssl, answer, sizeof(answer)) <= 0)
            return 2;
        session = CALL(SSL_get1_session)(ssl);
    } else {
        at = (const unsigned char *)answer;
        got = (int)fread(answer, 1, sizeof(answer), fopen(option(argv, "load", ""), "r"));
        session = CALL(d2i_SSL_SESSION)(NULL, &at, got);
    }
    if (option(argv, "save", NULL) != NULL) {
        der = (unsigned char *)answer;
        got = CALL(i2d_SSL_SESSION)(session, &der);
        return fwrite(answer, 1, (size_t)got, fopen(option(argv, "save", ""), "w")) == (size_t)got ? 0 : 2;
    }
    ssl = connection(ctx, argv, PINNED, session);
    if (ssl == NULL)
        return 1;
    while ((got = CALL(SSL_read)(ssl, answer, sizeof(answer))) > 0)
        printf("%.*s", got, answer);
    printf("\nreused: %d\n", CALL(SSL_session_reused)(ssl));
    return 0;
}

#else

int main(int argc, char **argv)
{
    int (*next)(char **) = (int (*)(char **))dlsym(RTLD_DEFAULT, "next");

    if (argc < 3 || next == NULL || OPENSSL_init_ssl(0, NULL) != 1)
        return 2;
    return next(argv);
}

#endif
