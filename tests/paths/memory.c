/* memory HOST PORT [late|used]: a client that gives OpenSSL memory functions of its own, which no other memory suits. late: it has made an SSL_CTX
 * before; used: it only has memory of OpenSSL's; in both cases OpenSSL must refuse them. It prints whether OpenSSL takes them.
 *
 * memory unused: a program that uses OpenSSL, but makes no SSL_CTX; it prints how often OpenSSL asks for memory. */

#include "paths.h"

static unsigned asked;

static void *get(size_t size, const char *file, int line)
{
    asked++;
    char *memory = malloc(size + 16);

    (void)file;
    (void)line;
    return memory != NULL ? memory + 16 : NULL;
}

static void put(void *memory, const char *file, int line)
{
    (void)file;
    (void)line;
    if (memory != NULL)
        free((char *)memory - 16);
}

static void *resize(void *memory, size_t size, const char *file, int line)
{
    char *other = realloc(memory != NULL ? (char *)memory - 16 : NULL, size + 16);

    (void)file;
    (void)line;
    return other != NULL ? other + 16 : NULL;
}

static int without_context(void)
{
    if (CRYPTO_set_mem_functions(get, resize, put) != 1 || OPENSSL_init_ssl(0, NULL) != 1)
        return 2;
    X509_free(X509_new());
    printf("asked %u times\n", asked);
    return 0;
}

int main(int argc, char **argv)
{
    void *used = NULL;

    if (argc == 2 && word(argv, "unused"))
        return without_context();
    if (argc < 3)
        return 2;
    if (word(argv, "late"))
        SSL_CTX_free(context(argv));
    if (word(argv, "used"))
        used = OPENSSL_malloc(10);
    printf("memory functions: %d\n", CRYPTO_set_mem_functions(get, resize, put));
    OPENSSL_free(used);
    return fetch_at(argv) ? 0 : 1;
}
