/* early_data HOST PORT first=NAME [text=TEXT] [second=NAME] [then=NAME [reset=connect or =accept]] [give-up] [chain]: a connection for FIRST, and
 * one for SECOND with the session of the first and TEXT as early data; then=NAME: before TEXT something else is written, and that name is verified from
 * then on; reset=: and the SSL is reset, by that function; "give-up": it ends there; "chain": that one goes through a chain of BIOs to the address of
 * SECOND, and gives no name. The server sends nothing but its tickets. */

#include "paths.h"

/* libssl goes on taking early data to flow. */
static void reset(SSL *ssl, const char *how)
{
    if (strcmp(how, "accept") == 0)
        SSL_set_accept_state(ssl);
    if (how[0] != '\0')
        SSL_set_connect_state(ssl);
}

int main(int argc, char **argv)
{
    SSL_CTX *ctx = context(argv);
    const char *text = option(argv, "text", "SECRET");
    const char *second = option(argv, "second", PINNED);
    SSL_SESSION *session;
    char answer[64];
    size_t sent = 0;
    bool connected;
    int result;
    SSL *ssl;

    if (argc < 3)
        return 2;
    SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION);
    /* A read is to come back when it has taken a ticket. */
    SSL_CTX_clear_mode(ctx, SSL_MODE_AUTO_RETRY);
    ssl = client(ctx, open_socket(argv[1], argv[2], SOCK_STREAM), option(argv, "first", PINNED));
    if (SSL_connect(ssl) != 1)
        return 2;
    SSL_read(ssl, answer, sizeof(answer));
    SSL_shutdown(ssl);
    session = SSL_get1_session(ssl);
    close(SSL_get_fd(ssl));
    SSL_free(ssl);
    if (SSL_SESSION_get_max_early_data(session) == 0)
        die("the session permits no early data");
    if (word(argv, "chain"))
        chain_to(ctx, resolve(second), argv[2], &ssl);
    else
        ssl = client(ctx, open_socket(argv[1], argv[2], SOCK_STREAM), second);
    if (SSL_set_session(ssl, session) != 1)
        die("SSL_set_session");
    if (option(argv, "then", NULL) != NULL) {
        if (SSL_write_early_data(ssl, "BEFORE", strlen("BEFORE"), &sent) != 1 || SSL_add1_host(ssl, option(argv, "then", NULL)) != 1)
            die("the first early data");
        reset(ssl, option(argv, "reset", ""));
    }
    result = SSL_write_early_data(ssl, text, strlen(text), &sent);
    printf("SSL_write_early_data: %d\n", result);
    ERR_clear_error();
    if (word(argv, "give-up")) {
        SSL_free(ssl);
        return result == 1 ? 0 : 1;
    }
    connected = show("SSL_connect", ssl, SSL_connect(ssl)) == 1;
    printf("early data: %s\n", SSL_get_early_data_status(ssl) == SSL_EARLY_DATA_ACCEPTED ? "accepted" : "not accepted");
    printf("reused: %d\n", SSL_session_reused(ssl));
    SSL_shutdown(ssl);
    return connected ? 0 : 1;
}
