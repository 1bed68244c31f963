/* library_context HOST PORT [default] [before=PORT] [tls1.2]: a client whose algorithms stand in a library context of its own; the default one has
 * none. "default": from its first SSL_CTX on it makes its own context this thread's default. "before": first it connects there, in vain, frees
 * that SSL, and makes new ones until one has its address. Exits with 77 where OpenSSL has no such thing (before 3.0). */

#include "paths.h"
#if OPENSSL_VERSION_NUMBER >= 0x30000000L
#include <openssl/provider.h>

/* Not every libc's malloc soon gives an address again: this one keeps what is freed, and the size before it. */
#define KEPT 4096

static size_t *kept[KEPT];

static void *allocate(size_t size, const char *file, int line)
{
    size_t *block;

    (void)file;
    (void)line;
    for (int i = 0; i < KEPT; i++) {
        if (kept[i] != NULL && kept[i][0] == size) {
            block = kept[i];
            kept[i] = NULL;
            return block + 2;
        }
    }
    block = malloc(size + 2 * sizeof(*block));
    if (block == NULL)
        return NULL;
    block[0] = size;
    return block + 2;
}

static void release(void *memory, const char *file, int line)
{
    (void)file;
    (void)line;
    for (int i = 0; i < KEPT && memory != NULL; i++) {
        if (kept[i] == NULL) {
            kept[i] = (size_t *)memory - 2;
            return;
        }
    }
}

static void *allocate_again(void *memory, size_t size, const char *file, int line)
{
    size_t before = memory != NULL ? ((size_t *)memory)[-2] : 0;
    void *block = allocate(size, file, line);

    if (block != NULL && memory != NULL) {
        memcpy(block, memory, before < size ? before : size);
        release(memory, file, line);
    }
    return block;
}

int main(int argc, char **argv)
{
    OSSL_LIB_CTX *library;
    SSL_CTX *ctx;
    const SSL *before = NULL;
    SSL *ssl = NULL;

    if (argc < 3)
        return 2;
    if (CRYPTO_set_mem_functions(allocate, allocate_again, release) != 1)
        die("CRYPTO_set_mem_functions");
    library = OSSL_LIB_CTX_new();
    if (OSSL_PROVIDER_load(NULL, "null") == NULL || OSSL_PROVIDER_load(library, "default") == NULL)
        die("OSSL_PROVIDER_load");
    ctx = trusting(SSL_CTX_new_ex(library, NULL, TLS_client_method()));
    if (word(argv, "default"))
        OSSL_LIB_CTX_set0_default(library);
    if (word(argv, "tls1.2"))
        SSL_CTX_set_max_proto_version(ctx, TLS1_2_VERSION);
    if (option(argv, "before", NULL) != NULL) {
        ssl = client(ctx, open_socket(argv[1], option(argv, "before", NULL), SOCK_STREAM), PINNED);
        printf("before: %d\n", SSL_connect(ssl));
        SSL_free(ssl);
        ERR_clear_error();
        before = ssl;
    }
    for (int i = 0; i < 1000 && (ssl = SSL_new(ctx)) != before && before != NULL; i++)
        ;
    printf("the same address: %d\n", ssl == before);
    SSL_set_tlsext_host_name(ssl, PINNED);
    SSL_set_fd(ssl, open_socket(argv[1], argv[2], SOCK_STREAM));
    return show("SSL_connect", ssl, SSL_connect(ssl)) == 1 && fetch(ssl) ? 0 : 1;
}
#else
int main(void)
{
    return 77;
}
#endif
