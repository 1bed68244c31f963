/* too_old LIBRARY: a server and two clients of a libssl that is too old for the shim.
 *
 * With -DLIBRARY it is that libssl: it moves no byte, and says what it was called for. */

#include "paths.h"
#include <dlfcn.h>

#ifdef LIBRARY

#undef SSLeay_version
#undef SSLv23_method

static int method;

/* A context or a connection. As in the real one, its method is among the first words. */
struct any {
    const void *method;
    bool server;
};

int SSL_get_ex_data_X509_STORE_CTX_idx(void)
{
    return 0;
}

const char *SSLeay_version(int which)
{
    (void)which;
    return "OpenSSL 1.0.2u  20 Dec 2019";
}

const SSL_METHOD *SSLv23_method(void)
{
    return (const SSL_METHOD *)&method;
}

static void *make(void)
{
    struct any *made = calloc(4, sizeof(*made));

    made->method = &method;
    return made;
}

SSL_CTX *SSL_CTX_new(const SSL_METHOD *with)
{
    (void)with;
    return make();
}

SSL *SSL_new(SSL_CTX *ctx)
{
    (void)ctx;
    return make();
}

int SSL_is_server(const SSL *ssl)
{
    return ((const struct any *)ssl)->server;
}

void SSL_set_accept_state(SSL *ssl)
{
    ((struct any *)ssl)->server = true;
}

void SSL_set_connect_state(SSL *ssl)
{
    ((struct any *)ssl)->server = false;
}

int SSL_do_handshake(SSL *ssl)
{
    printf("%s's handshake\n", SSL_is_server(ssl) ? "server" : "client");
    return 1;
}

int SSL_write(SSL *ssl, const void *text, int length)
{
    printf("%s's text: %.*s\n", SSL_is_server(ssl) ? "server" : "client", length, (const char *)text);
    return length;
}

#else

#define FIND(result, name, ...) result (*name##_)(__VA_ARGS__) = (result(*)(__VA_ARGS__))dlsym(library, #name)

int main(int argc, char **argv)
{
    void *library = argc > 1 ? dlopen(argv[1], RTLD_NOW | RTLD_LOCAL) : NULL;
    FIND(const void *, SSLv23_method, void);
    FIND(void *, SSL_CTX_new, const void *);
    FIND(void *, SSL_new, void *);
    FIND(void, SSL_set_accept_state, void *);
    FIND(void, SSL_set_connect_state, void *);
    FIND(int, SSL_do_handshake, void *);
    FIND(int, SSL_write, void *, const void *, int);
    void *ctx;
    void *ssl;
    int result = 0;

    if (library == NULL || SSLv23_method_ == NULL)
        return 2;
    ctx = SSL_CTX_new_(SSLv23_method_());
    printf("context: %s\n", ctx != NULL ? "made" : "missing");
    for (int i = 0; i < 3; i++) {
        ssl = SSL_new_(ctx);
        (i == 0 ? SSL_set_accept_state_ : SSL_set_connect_state_)(ssl);
        printf("handshake: %d\n", SSL_do_handshake_(ssl));
        result = SSL_write_(ssl, "SECRET", 6);
        printf("SSL_write: %d\n", result);
    }
    return result > 0 ? 0 : 1;
}

#endif
