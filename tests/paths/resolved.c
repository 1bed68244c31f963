/* resolved HOST PORT [name=NAME] [suspend|idn|plain] [verified=NAME]: a client that has NAME (www.pinned.example) resolved and connects
 * to HOST. It gives OpenSSL no name, or one to verify. suspend: it resolves with getaddrinfo_a, awaits that by gai_suspend,
 * and never calls gai_error. idn: NAME is in UTF-8, and it resolves with AI_IDN; plain: as it stands. */

#include "paths.h"
#include <locale.h>

#ifdef __GLIBC__
static void resolve_later(const char *name)
{
    struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM};
    struct gaicb request = {.ar_name = name, .ar_request = &hints};
    struct gaicb *list[1] = {&request};
    const struct gaicb *awaited[1] = {&request};

    if (getaddrinfo_a(GAI_NOWAIT, list, 1, NULL) != 0)
        die("getaddrinfo_a");
    do
        gai_suspend(awaited, 1, NULL);
    while (*(struct addrinfo *volatile *)&request.ar_result == NULL);
    freeaddrinfo(request.ar_result);
}
#else
#define AI_IDN 0
#define resolve_later resolve
#endif

static void resolve_utf8(const char *name, int flags)
{
    struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM, .ai_flags = flags};
    struct addrinfo *found;

    if (setlocale(LC_ALL, "C.UTF-8") == NULL || getaddrinfo(name, NULL, &hints, &found) != 0)
        die(name);
    freeaddrinfo(found);
}

int main(int argc, char **argv)
{
    const char *name = option(argv, "name", PINNED);
    const char *verified = option(argv, "verified", NULL);
    SSL *ssl;

    if (argc < 3)
        return 2;
    if (word(argv, "suspend"))
        resolve_later(name);
    else if (word(argv, "idn") || word(argv, "plain"))
        resolve_utf8(name, word(argv, "idn") ? AI_IDN : 0);
    else
        resolve(name);
    ssl = client(context(argv), open_socket(argv[1], argv[2], SOCK_STREAM), NULL);
    if (verified != NULL && SSL_set1_host(ssl, verified) != 1)
        die("SSL_set1_host");
    return show("SSL_connect", ssl, SSL_connect(ssl)) == 1 && fetch(ssl) ? 0 : 1;
}
