/* Which host a client asks a proxy for, from what it sends: in one call, in two at every place, and in single bytes. */

#include "proxy_request.h"
#include "unit.h"

#include <stdlib.h>
#include <string.h>

#define BYTES(string) string, sizeof(string) - 1
#define NAME_150 \
    "a123456789b123456789c123456789d123456789e123456789f123456789.a123456789b123456789c123456789d123456789e123456789f123456789.a123456789b123456789c12345.xy"

static const struct {
    const char *what;
    const char *bytes;
    size_t size;
    const char *host; /* with the port; "?": asked, and not known; NULL: not asked. `=`: in one call; in two, the second may begin with a request */
} rows[] = {
    {"CONNECT", BYTES("CONNECT www.example:443 HTTP/1.1\r\nHost: www.example:443\r\n\r\n"), "www.example:443"},
    {"CONNECT with nothing else", BYTES("CONNECT www.example:443 HTTP/1.0\r\n\r\n"), "www.example:443"},
    {"its line alone", BYTES("CONNECT www.example:443 HTTP/1.0\n"), "www.example:443"},
    {"an address", BYTES("CONNECT 192.0.2.7:443 HTTP/1.1\r\n\r\n"), "192.0.2.7:443"},
    {"an IPv6 address", BYTES("CONNECT [2001:db8::7]:8443 HTTP/1.1\r\n\r\n"), "[2001:db8::7]:8443"},
    {"capitals, and a dot at the end", BYTES("CONNECT WWW.Example.:443 HTTP/1.1\r\n\r\n"), "www.example:443"},
    {"no port", BYTES("CONNECT www.example HTTP/1.1\r\n\r\n"), "www.example"},
    {"more blanks", BYTES("CONNECT  www.example:443  HTTP/1.1\r\n\r\n"), "www.example:443"},
    {"other blanks", BYTES("CONNECT\twww.example:443\t\v HTTP/1.1\r\n\r\n"), "www.example:443"},
    {"other blanks still", BYTES("CONNECT\fwww.example:443\vHTTP/1.1\r\n\r\n"), "www.example:443"},
    {"a long name", BYTES("CONNECT " NAME_150 ":443 HTTP/1.1\r\n\r\n"), NAME_150 ":443"},
    {"a name too long to keep", BYTES("CONNECT " NAME_150 "." NAME_150 ":443 HTTP/1.1\r\n\r\n"), "?"},
    {"a second one, after 407", BYTES("CONNECT a.example:443 HTTP/1.1\r\nA: b\r\n\r\nCONNECT b.example:444 HTTP/1.1\r\n\r\n"), "b.example:444"},
    {"a header like the method", BYTES("CONNECT a.example:443 HTTP/1.1\r\nConnection: x\r\nCONNECTION: CONNECT b.example:1\r\nC\r\n\r\n"), "a.example:443"},
    {"then TLS", BYTES("CONNECT a.example:443 HTTP/1.1\r\n\r\n\x16\x03\x01 CONNECT b.example:444 HTTP/1.1\r\n\r\n"), "a.example:443"},
    {"then another protocol", BYTES("CONNECT a.example:25 HTTP/1.1\r\n\r\nEHLO me\r\nCONNECT b.example:444 HTTP/1.1\r\n\r\n"), "=a.example:25"},
    {"an IPv6 address without brackets", BYTES("CONNECT 2001:db8::7:443 HTTP/1.1\r\n\r\n"), "?"},
    {"a user", BYTES("CONNECT a@b.example:443 HTTP/1.1\r\n\r\n"), "?"},
    {"no host", BYTES("CONNECT :443 HTTP/1.1\r\n\r\n"), "?"},
    {"nothing", BYTES("CONNECT \r\n\r\n"), "?"},
    {"port 0", BYTES("CONNECT www.example:0 HTTP/1.1\r\n\r\n"), "?"},
    {"a port too large", BYTES("CONNECT www.example:65536 HTTP/1.1\r\n\r\n"), "?"},
    {"no version", BYTES("CONNECT www.example:443\r\n\r\n"), "?"},
    {"no version that is one", BYTES("CONNECT www.example:443 HTML/1.1\r\n\r\n"), "?"},
    {"a NUL", BYTES("CONNECT www\0.example:443 HTTP/1.1\r\n\r\n"), "?"},
    {"the second unreadable", BYTES("CONNECT a.example:443 HTTP/1.1\r\n\r\nCONNECT b@:444 HTTP/1.1\r\n\r\n"), "?"},
    {"a third that is better", BYTES("CONNECT a.example:1 HTTP/1.1\r\n\r\nCONNECT @ HTTP/1.1\r\n\r\nCONNECT c.example:3 HTTP/1.1\r\n\r\n"), "c.example:3"},
    {"not yet all", BYTES("CONNECT www.example:443 HT"), "?"},
    {"a beginning alone", BYTES("CONNEC"), NULL},
    {"a word", BYTES("CONNECTED www.example:443 HTTP/1.1\r\n\r\n"), NULL},
    {"another method", BYTES("GET http://www.example/ HTTP/1.1\r\n\r\n"), NULL},
    {"in small letters", BYTES("connect www.example:443 http/1.1\r\n\r\n"), "www.example:443"},
    {"in letters of both sizes", BYTES("Connect www.example:443 HTTP/1.1\r\n\r\n"), "www.example:443"},
    {"a word in small letters", BYTES("connected www.example:443 HTTP/1.1\r\n\r\n"), NULL},
    {"after an empty line", BYTES("\r\nCONNECT www.example:443 HTTP/1.1\r\n\r\n"), "www.example:443"},
    {"after some empty lines", BYTES("\n\r\n\nCONNECT www.example:443 HTTP/1.1\r\n\r\n"), "www.example:443"},
    {"empty lines, and something else", BYTES("\r\nGET / HTTP/1.1\r\nCONNECT www.example:443 HTTP/1.1\r\n\r\n"), "="},
    {"a second one after an empty line", BYTES("CONNECT a.example:443 HTTP/1.1\r\n\r\n\r\nCONNECT b.example:444 HTTP/1.1\r\n\r\n"), "b.example:444"},
    {"empty lines alone", BYTES("\r\n\r\n"), NULL},
    {"SOCKS 4", BYTES("\4\1\1\xbb\300\0\2\7me\0"), "192.0.2.7:443"},
    {"SOCKS 4 without a user", BYTES("\4\1\1\xbb\300\0\2\7\0"), "192.0.2.7:443"},
    {"SOCKS 4a", BYTES("\4\1\1\xbb\0\0\0\1me\0www.example\0"), "www.example:443"},
    {"SOCKS 4a of an address", BYTES("\4\1\1\xbb\0\0\0\1\0" "192.0.2.7\0"), "192.0.2.7:443"},
    {"SOCKS 4a without the name", BYTES("\4\1\1\xbb\0\0\0\1\0"), "?"},
    {"SOCKS 4a, a name with a port", BYTES("\4\1\1\xbb\0\0\0\1\0www.example:1\0"), "?"},
    {"SOCKS 4a, an empty name", BYTES("\4\1\1\xbb\0\0\0\1\0\0"), "?"},
    {"SOCKS 4, then TLS", BYTES("\4\1\1\xbb\300\0\2\7\0\x16\3\1"), "192.0.2.7:443"},
    {"SOCKS 4, then SOCKS 5", BYTES("\4\1\1\xbb\300\0\2\7\0\5\1\0\5\1\0\3\1a\0\1"), "a:1"},
    {"SOCKS 4, port 0", BYTES("\4\1\0\0\300\0\2\7\0"), NULL},
    {"SOCKS 4 that binds", BYTES("\4\2\1\xbb\300\0\2\7\0"), NULL},
    {"SOCKS 5, a name", BYTES("\5\1\0\5\1\0\3\xbwww.example\1\xbb"), "www.example:443"},
    {"SOCKS 5, IPv4", BYTES("\5\2\0\1\5\1\0\1\300\0\2\7\1\xbb"), "192.0.2.7:443"},
    {"SOCKS 5, IPv6", BYTES("\5\1\0\5\1\0\4\x20\1\xd\xb8\0\0\0\0\0\0\0\0\0\0\0\7\1\xbb"), "[2001:db8::7]:443"},
    {"SOCKS 5, an address as a name", BYTES("\5\1\0\5\1\0\3\x9" "192.0.2.7\1\xbb"), "192.0.2.7:443"},
    {"SOCKS 5 with a password", BYTES("\5\2\0\2\1\4user\2pw\5\1\0\3\1a\0\1"), "a:1"},
    {"an empty name and password", BYTES("\5\2\0\2\1\0\0\5\1\0\3\1a\0\1"), "a:1"},
    {"a name of one letter, where GSS-API was offered, too", BYTES("\5\3\0\1\2\1\1u\2pw\5\1\0\3\1a\0\1"), "a:1"},
    {"GSS-API", BYTES("\5\2\0\1\1\1\0\3abc\1\1\0\2de\5\1\0\3\1a\0\1"), "a:1"},
    {"GSS-API, where a password was offered, too", BYTES("\5\3\0\1\2\1\1\0\3abc\5\1\0\3\1a\0\1"), "a:1"},
    {"the request without the greeting", BYTES("\5\1\0\1\300\0\2\7\1\xbb"), "192.0.2.7:443"},
    {"the greeting, and then TLS", BYTES("\5\1\0\x16\3\1"), "?"},
    {"an authentication that is not known", BYTES("\5\2\0\3\1\1\1\1\1\5\1\0\3\1a\0\1"), "=?"},
    {"the greeting alone", BYTES("\5\1\0"), NULL},
    {"another protocol", BYTES("\5\0\13\3\20\0\0\0"), NULL},
    {"methods that are none", BYTES("\5\1\x20\5\1\0\3\1a\0\1"), "="},
    {"SOCKS 5 that binds", BYTES("\5\1\0\5\2\0\1\300\0\2\7\1\xbb"), NULL},
    {"an unknown kind of address", BYTES("\5\1\0\5\1\0\5\300\0\2\7\1\xbb"), "?"},
    {"an empty name", BYTES("\5\1\0\5\1\0\3\0\1\xbb"), "?"},
    {"SOCKS 5, port 0", BYTES("\5\1\0\5\1\0\3\1a\0\0"), "?"},
    {"SOCKS 5 and CONNECT to the next proxy", BYTES("\5\1\0\5\1\0\3\1a\0\1" "CONNECT www.example:443 HTTP/1.0\r\n\r\n"), "www.example:443"},
};

static void expect(const char *what, const struct proxy_request *request, const char *host)
{
    struct host found;
    char printed[600];
    struct text text = text_over(printed, sizeof(printed));
    enum proxy_asked asked = proxy_request_host(request, &found);

    if (asked == PROXY_ASKED)
        host_print(&found, &text);
    else
        text_add(&text, "%s", asked == PROXY_NOT_ASKED ? "" : "?");
    check(strcmp(printed, host != NULL ? host : "") == 0, "%s: \"%s\"", what, printed);
}

/* From a copy without a byte to spare, so that a sanitizer sees a read beyond it. */
static void read_part(struct proxy_request *request, const void *bytes, size_t size)
{
    unsigned char *copy = malloc(size != 0 ? size : 1);

    memcpy(copy, bytes, size);
    proxy_request_read(request, copy, size, size);
    free(copy);
}

/* What is not captured of a call does no harm within headers; elsewhere the host is not known. */
static void check_missed(void)
{
    struct proxy_request request = {0};
    const char first[] = "CONNECT a.example:443 HTTP/1.1\r\nProxy-Authorization: Negotiate ";
    const char second[] = "CONNECT b.example:443 HTTP/1.1\r\n\r\n";

    proxy_request_read(&request, (const unsigned char *)first, sizeof(first) - 1, 5000);
    expect("missed headers", &request, "a.example:443");
    read_part(&request, second, sizeof(second) - 1);
    expect("a request after them", &request, "b.example:443");
    memset(&request, 0, sizeof(request));
    proxy_request_read(&request, (const unsigned char *)first, 12, 5000);
    expect("a missed host", &request, "?");
    memset(&request, 0, sizeof(request));
    proxy_request_read(&request, (const unsigned char *)"\5\1\2\1\3abc\6s", 10, 15);
    read_part(&request, BYTES("\5\1\0\3\1a\0\1"));
    expect("a missed password", &request, "a:1");
}

/* What begins a call after TLS or another protocol. */
static void check_calls(void)
{
    struct proxy_request request = {0};

    read_part(&request, BYTES("CONNECT a.example:443 HTTP/1.1\r\n\r\n"));
    read_part(&request, BYTES("\x16\3\1"));
    check(proxy_request_is_whole(&request), "over once TLS has begun");
    read_part(&request, BYTES("CONNECT b.example:443 HTTP/1.1\r\n\r\n"));
    expect("within TLS", &request, "a.example:443");
    memset(&request, 0, sizeof(request));
    read_part(&request, BYTES("CONNECT a.example:443 HTTP/1.1\r\n\r\n"));
    read_part(&request, BYTES("GET http://x/ HTTP/1.1\r\n\r\n"));
    read_part(&request, BYTES("CONNECT b.example:443 HTTP/1.1\r\n\r\n"));
    expect("a call of its own", &request, "b.example:443");
    memset(&request, 0, sizeof(request));
    read_part(&request, BYTES("\4\1\1\xbb\300\0\2\7\0 and something else"));
    expect("SOCKS 4 with something else behind it", &request, "?");
    /* A head without an end does not go on for ever. */
    memset(&request, 0, sizeof(request));
    read_part(&request, BYTES("CONNECT a.example:443 HTTP/1.1\r\n"));
    for (int i = 0; i < 1 << 17; i++)
        read_part(&request, BYTES("a: 345678\n"));
    check(!proxy_request_goes_on(&request), "over after too much");
    expect("a head without an end", &request, "a.example:443");
}

/* A ClientHello behind a request, wherever the calls are cut. */
static void check_hello(void)
{
    static const char request_line[] = "CONNECT a.example:443 HTTP/1.1\r\n\r\n";
    uint8_t bytes[sizeof(request_line) - 1 + 60];
    const size_t at = sizeof(request_line) - 1;

    memcpy(bytes, request_line, at);
    memcpy(bytes + at, "\x16\3\1\0\x80\1\0\0\x7c\3\3", 11);
    for (int i = 0; i < 49; i++)
        bytes[at + 11 + i] = (uint8_t)i;
    for (size_t cut = 1; cut < sizeof(bytes); cut++) {
        struct proxy_request request = {0};
        const uint8_t *random = NULL;

        for (size_t from = 0; from < sizeof(bytes); from += cut) {
            size_t size = from + cut < sizeof(bytes) ? cut : sizeof(bytes) - from;

            if (random == NULL)
                check(proxy_request_hello(&request) == NULL && (from == 0 || proxy_request_goes_on(&request)), "cut at %zu: more is to come", cut);
            read_part(&request, bytes + from, size);
            random = random == NULL ? proxy_request_hello(&request) : random;
            check((random != NULL) == (from + size >= at + 43), "cut at %zu: known at %zu", cut, from + size);
        }
        check(random != NULL && memcmp(random, bytes + at + 11, 32) == 0 && proxy_request_hello(&request) == NULL, "cut at %zu: the random, once", cut);
        expect("the host before a ClientHello", &request, "a.example:443");
    }
    /* What was not seen of it. */
    for (size_t size = at + 1; size < at + 43; size++) {
        struct proxy_request request = {0};

        proxy_request_read(&request, bytes, size, sizeof(bytes));
        check(proxy_request_hello(&request) == NULL && !proxy_request_goes_on(&request), "%zu bytes were seen", size);
    }
}

static void check_clear(void)
{
    static const struct {
        const char *bytes;
        const char *host; /* NULL: none is asked for; "?": perhaps, with what follows */
    } clear[] = {
        {"GET http://www.example/ HTTP/1.1\r\n", "www.example:80"},
        {"GET http://www.example:8080/x?y HTTP/1.1\r\n", "www.example:8080"},
        {"GET HTTP://me:secret@WWW.Example./ HTTP/1.1\r\n", "www.example:80"},
        {"GET http://a@b@www.example/@ HTTP/1.1\r\n", "www.example:80"},
        {"M-SEARCH  ftp://www.example HTTP/1.1\r\n", "www.example:21"},
        {"POST https://www.example?a HTTP/1.1\r\n", "www.example:443"},
        {"get ws://192.0.2.7#a HTTP/1.1\r\n", "192.0.2.7:80"},
        {"\r\nGET wss://[2001:db8::7]:444/ HTTP/1.1\r\n", "[2001:db8::7]:444"},
        {"GET svn+ssh://www.example/ HTTP/1.1\r\n", "www.example"},
        {"GET http://www.example", "?"},
        {"GET http://me:secret", "?"},
        {"GET htt", "?"},
        {"GET http:/", "?"},
        {"GET / HTTP/1.1\r\nHost: www.example\r\n", NULL},
        {"GET /http://www.example/ HTTP/1.1\r\n", NULL},
        {"GET http:/www.example/ HTTP/1.1\r\n", NULL},
        {"GET http:// HTTP/1.1\r\n", NULL},
        {"GET http://@/ HTTP/1.1\r\n", NULL},
        {"GET ://www.example/ HTTP/1.1\r\n", NULL},
        {"CONNECT www.example:443 HTTP/1.1\r\n", NULL},
        {"GET\thttp://www.example:81/ HTTP/1.1\r\n", "www.example:81"},
        {"http://www.example/ HTTP/1.1\r\n", NULL},
        {" GET http://www.example/ HTTP/1.1\r\n", NULL},
        {"AMETHODTHATISMUCHTOOLONGTOBEONE http://www.example/ HTTP/1.1\r\n", NULL},
        {"GET ", "?"},
        {"GET", "?"},
        {"\r\n", "?"},
        {"", "?"},
    };

    for (size_t i = 0; i < sizeof(clear) / sizeof(clear[0]); i++) {
        size_t size = strlen(clear[i].bytes);
        unsigned char *copy = malloc(size != 0 ? size : 1);
        char printed[600] = "";
        struct text text = text_over(printed, sizeof(printed));
        struct host host;

        memcpy(copy, clear[i].bytes, size);
        switch (proxy_request_in_clear(copy, size, &host)) {
        case PROXY_CLEAR_NONE: break;
        case PROXY_CLEAR_BEGINS: text_add(&text, "?"); break;
        case PROXY_CLEAR_ASKED: host_print(&host, &text); break;
        }
        check(strcmp(printed, clear[i].host != NULL ? clear[i].host : "") == 0, "%s: \"%s\"", clear[i].bytes, printed);
        free(copy);
    }
}

int main(void)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct proxy_request request = {0};
        const char *host = rows[i].host != NULL && rows[i].host[0] == '=' ? rows[i].host + 1 : rows[i].host;

        for (size_t at = 0; at < rows[i].size && (at <= strspn(rows[i].bytes, "\r\n") || proxy_request_goes_on(&request)); at++)
            read_part(&request, rows[i].bytes + at, 1);
        expect(rows[i].what, &request, host);
        for (size_t at = 0; at < (host != rows[i].host ? 1 : rows[i].size); at++) {
            memset(&request, 0, sizeof(request));
            read_part(&request, rows[i].bytes, at);
            read_part(&request, rows[i].bytes + at, rows[i].size - at);
            expect(rows[i].what, &request, host);
        }
    }
    check_missed();
    check_calls();
    check_hello();
    check_clear();
    return unit_end("proxy_request");
}
