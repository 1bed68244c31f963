#include "proxy_request.h"

#include <string.h>

#define CONNECT "CONNECT " /* RFC 9110, section 9.3.6 */
#define VERSION "HTTP/"
#define TLS_HANDSHAKE 22 /* the first byte of such a record (RFC 8446, section 5.1) */
#define USER_MOST 255 /* characters of a user's name, SOCKS 4 */
#define HEADERS_MOST (1U << 20)

enum step {
    START = 0, /* a request may begin with the next byte */
    OVER, /* it may not, but with the first byte of the next call */
    /* HTTP */
    METHOD, /* `left`: characters that have matched */
    AUTHORITY,
    PROTOCOL, /* `left`: characters that have matched */
    LINE, /* the rest of the request's line */
    HEADER, /* at the beginning of a line */
    HEADER_REST,
    HEADER_METHOD, /* as METHOD, in the place of a header */
    HEADERS_END, /* after a CR at the beginning of a line */
    /* SOCKS 4 and 4a */
    FOUR_COMMAND,
    FOUR_HEAD,
    FOUR_USER,
    FOUR_NAME,
    /* SOCKS 5 (RFC 1928) */
    FIVE_COUNT,
    FIVE_METHODS,
    FIVE_MESSAGE,
    FIVE_COMMAND,
    FIVE_RESERVED,
    FIVE_TYPE,
    FIVE_LENGTH,
    FIVE_HOST,
    FIVE_PORT,
    /* its authentication: a name and a password (RFC 1929), GSS-API (RFC 1961) */
    FIVE_NAME_LENGTH,
    FIVE_NAME_OR_TOKEN,
    FIVE_NAME,
    FIVE_PASSWORD_LENGTH,
    FIVE_PASSWORD,
    FIVE_TOKEN_LENGTH,
    FIVE_TOKEN_LENGTH_LOW,
    FIVE_TOKEN,
};

enum form { FORM_AUTHORITY = 0, FORM_TEXT, FORM_IPV4, FORM_IPV6 };

enum { METHOD_NONE = 1, METHOD_GSSAPI = 2, METHOD_PASSWORD = 4, METHOD_OTHER = 8 };

/* A request for another host begins. */
static void begin(struct proxy_request *request, enum form form)
{
    request->lost |= request->asked;
    request->asked = false;
    request->unclear = true;
    request->form = form;
    request->length = 0;
    request->port = 0;
}

/* It is no request that can be read. */
static void give_up(struct proxy_request *request)
{
    request->step = OVER;
}

static void add(struct proxy_request *request, unsigned char c)
{
    /* One more than there is room for: too long. */
    if (request->length < sizeof(request->text))
        request->text[request->length] = (char)c;
    if (request->length <= sizeof(request->text))
        request->length++;
}

static bool read_host(const struct proxy_request *request, struct host *out)
{
    const char *text = request->text;
    size_t length = request->length;
    const char *colon = memchr(text, ':', length <= sizeof(request->text) ? length : 0);

    memset(out, 0, sizeof(*out));
    if (length > sizeof(request->text))
        return false;
    switch ((enum form)request->form) {
    case FORM_IPV4:
    case FORM_IPV6:
        if (!host_from_bytes(request->form == FORM_IPV4 ? AF_INET : AF_INET6, text, out))
            return false;
        break;
    case FORM_AUTHORITY:
        /* The last part of an IPv6 address without brackets could be a port. */
        if (colon != NULL && text[0] != '[' && memchr(colon + 1, ':', length - (size_t)(colon + 1 - text)) != NULL)
            return false;
        return host_parse(text, length, out) != HOST_UNREADABLE;
    case FORM_TEXT:
        if (host_parse(text, length, out) == HOST_UNREADABLE || out->port != 0)
            return false;
        break;
    }
    out->port = request->port;
    return out->port != 0;
}

/* The request was sent as a whole. */
static void complete(struct proxy_request *request, enum step next)
{
    struct host host;

    request->step = next;
    request->asked = read_host(request, &host);
    request->unclear = !request->asked;
    request->lost &= request->unclear;
}

static void read_start(struct proxy_request *request, unsigned char c)
{
    /* What follows a request of SOCKS 4 waits for its answer. Any bytes would be one, if they began with two that are right. */
    if (request->exact && c != 'C' && c != 4 && c != 5 && c != TLS_HANDSHAKE) {
        request->unclear = true;
        request->lost |= request->asked;
        request->asked = false;
    }
    request->exact = false;
    request->left = 1;
    request->headers = 0;
    /* Servers skip empty lines before a request (RFC 9112, section 2.2). */
    request->step = (c | 0x20) == 'c' ? METHOD : c == 4 ? FOUR_COMMAND : c == 5 ? FIVE_COUNT : c == '\r' || c == '\n' ? START : OVER;
    request->only_tls |= c == TLS_HANDSHAKE;
}

/* Match the next character of `word`, which some proxies take in small letters, too. Return false if it is another one. */
static bool match(struct proxy_request *request, const char *word, unsigned char c, enum step next)
{
    if (word[request->left] != (c >= 'a' && c <= 'z' ? c - 0x20 : c))
        return false;
    if (word[++request->left] == '\0') {
        request->step = next;
        request->left = 0;
    }
    return true;
}

/* Skip one of the `left` bytes of a field. Return true if it was the last. */
static bool skip(struct proxy_request *request)
{
    return --request->left == 0;
}

/* A field of `length` bytes comes next, or, if it is empty, what follows it. */
static void expect(struct proxy_request *request, uint16_t length, enum step field, enum step after)
{
    request->left = length;
    request->step = length > 0 ? field : after;
}

/* Servers may take each of them for one (RFC 9112, section 3). */
static bool is_blank(unsigned char c)
{
    return c == ' ' || c == '\t' || c == '\v' || c == '\f';
}

static void read_http(struct proxy_request *request, unsigned char c)
{
    if (is_blank(c))
        c = ' ';
    switch ((enum step)request->step) {
    case METHOD:
    case HEADER_METHOD:
        if (match(request, CONNECT, c, AUTHORITY)) {
            if (request->step == AUTHORITY)
                begin(request, FORM_AUTHORITY);
        } else if (request->step == METHOD) {
            give_up(request);
        } else {
            request->step = c == '\n' ? HEADER : HEADER_REST;
        }
        break;
    case AUTHORITY:
        if (c == ' ' && request->length > 0)
            request->step = PROTOCOL;
        else if (c == '\n')
            request->step = HEADER;
        else if (c != ' ')
            add(request, c);
        break;
    case PROTOCOL:
        if (c != ' ' && !match(request, VERSION, c, LINE))
            request->step = c == '\n' ? HEADER : HEADER_REST;
        break;
    case LINE:
        if (c == '\n')
            complete(request, HEADER);
        break;
    case HEADER:
        request->left = 1;
        request->step = c == '\n' ? START : c == '\r' ? HEADERS_END : (c | 0x20) == 'c' ? HEADER_METHOD : HEADER_REST;
        break;
    case HEADERS_END: request->step = c == '\n' ? START : HEADER_REST; break;
    default: request->step = c == '\n' ? HEADER : HEADER_REST; break;
    }
    /* Whatever goes on for so long is not a request's head. */
    if (++request->headers > HEADERS_MOST)
        give_up(request);
}

static void read_socks_4(struct proxy_request *request, unsigned char c)
{
    static const uint8_t zero[3];

    switch ((enum step)request->step) {
    case FOUR_COMMAND:
        request->left = sizeof(request->head);
        request->step = c == 1 ? FOUR_HEAD : OVER;
        break;
    case FOUR_HEAD:
        request->head[sizeof(request->head) - request->left] = c;
        if (skip(request))
            expect(request, USER_MOST + 1, request->head[0] != 0 || request->head[1] != 0 ? FOUR_USER : OVER, OVER);
        break;
    case FOUR_USER:
        if (c != 0) {
            if (skip(request))
                give_up(request);
            break;
        }
        begin(request, FORM_IPV4);
        request->port = (uint16_t)(request->head[0] << 8 | request->head[1]);
        request->exact = true;
        /* 4a: 0.0.0.x stands for a name that follows. */
        if (memcmp(request->head + 2, zero, sizeof(zero)) == 0 && request->head[5] != 0) {
            request->form = FORM_TEXT;
            request->step = FOUR_NAME;
            break;
        }
        for (int i = 2; i < 6; i++)
            add(request, request->head[i]);
        complete(request, START);
        break;
    default: /* FOUR_NAME */
        if (c == 0)
            complete(request, START);
        else
            add(request, c);
        if (request->length > sizeof(request->text))
            give_up(request);
        break;
    }
}

/* Read what a client of SOCKS 5 says before its request. */
static void read_greeting(struct proxy_request *request, unsigned char c)
{
    switch ((enum step)request->step) {
    case FIVE_COUNT:
        request->methods = 0;
        expect(request, c, FIVE_METHODS, OVER);
        break;
    case FIVE_METHODS:
        /* The others are not assigned. */
        if (c == 4 || (c > 9 && c < 0x80) || c == 0xff) {
            give_up(request);
            break;
        }
        request->methods |= c == 0 ? METHOD_NONE : c == 1 ? METHOD_GSSAPI : c == 2 ? METHOD_PASSWORD : METHOD_OTHER;
        if (skip(request))
            request->step = FIVE_MESSAGE;
        break;
    case FIVE_NAME_LENGTH:
        if ((request->methods & METHOD_PASSWORD) != 0 && ((request->methods & METHOD_GSSAPI) == 0 || c == 0 || c > 3))
            expect(request, c, FIVE_NAME, FIVE_PASSWORD_LENGTH);
        else
            expect(request, c, (request->methods & METHOD_PASSWORD) != 0 ? FIVE_NAME_OR_TOKEN : FIVE_TOKEN_LENGTH, FIVE_TOKEN_LENGTH);
        break;
    case FIVE_NAME_OR_TOKEN:
        /* A name of up to three characters, or a token's type and length: no token is so long. */
        if (c >= ' ')
            expect(request, request->left - 1, FIVE_NAME, FIVE_PASSWORD_LENGTH);
        else
            expect(request, (uint16_t)(c << 8), FIVE_TOKEN_LENGTH_LOW, FIVE_TOKEN_LENGTH_LOW);
        break;
    case FIVE_NAME:
        if (skip(request))
            request->step = FIVE_PASSWORD_LENGTH;
        break;
    case FIVE_PASSWORD_LENGTH: expect(request, c, FIVE_PASSWORD, FIVE_MESSAGE); break;
    case FIVE_TOKEN_LENGTH: expect(request, (uint16_t)(c << 8), FIVE_TOKEN_LENGTH_LOW, FIVE_TOKEN_LENGTH_LOW); break;
    case FIVE_TOKEN_LENGTH_LOW: expect(request, request->left | c, FIVE_TOKEN, FIVE_MESSAGE); break;
    default: /* FIVE_PASSWORD, FIVE_TOKEN */
        if (skip(request))
            request->step = FIVE_MESSAGE;
        break;
    }
}

static void read_type(struct proxy_request *request, unsigned char c)
{
    begin(request, c == 1 ? FORM_IPV4 : c == 4 ? FORM_IPV6 : FORM_TEXT);
    expect(request, c == 1 ? 4 : c == 4 ? 16 : 0, FIVE_HOST, c == 3 ? FIVE_LENGTH : OVER);
}

static void read_socks_5(struct proxy_request *request, unsigned char c)
{
    switch ((enum step)request->step) {
    case FIVE_MESSAGE:
        /* The greeting was in truth the beginning of a request, and the real one was not seen. */
        if (request->methods == METHOD_NONE && (c == 1 || c == 3 || c == 4)) {
            read_type(request, c);
            break;
        }
        request->step = c == 5 ? FIVE_COMMAND : c == 1 && (request->methods & (METHOD_GSSAPI | METHOD_PASSWORD)) != 0 ? FIVE_NAME_LENGTH : OVER;
        /* An authentication that is not known, or TLS: the request went by unseen. */
        if (request->step == OVER && (c == TLS_HANDSHAKE || (request->methods & METHOD_OTHER) != 0))
            begin(request, FORM_TEXT);
        break;
    case FIVE_COMMAND: request->step = c == 1 ? FIVE_RESERVED : OVER; break;
    case FIVE_RESERVED: request->step = FIVE_TYPE; break;
    case FIVE_TYPE: read_type(request, c); break;
    case FIVE_LENGTH: expect(request, c, FIVE_HOST, OVER); break;
    case FIVE_HOST:
        add(request, c);
        if (skip(request))
            expect(request, 2, FIVE_PORT, FIVE_PORT);
        break;
    case FIVE_PORT:
        request->port = (uint16_t)(request->port << 8 | c);
        if (skip(request))
            complete(request, START);
        break;
    default: read_greeting(request, c); break;
    }
}

/* This many bytes were sent unseen. Of headers they do not matter: a call that follows is taken to begin with a line. */
static void miss(struct proxy_request *request, size_t count)
{
    switch ((enum step)request->step) {
    case OVER: break;
    case START: give_up(request); break;
    case HEADER:
    case HEADER_REST:
    case HEADER_METHOD:
    case HEADERS_END: request->step = HEADER; break;
    case FIVE_NAME:
    case FIVE_PASSWORD:
    case FIVE_TOKEN:
        for (; count > 0 && (request->step == FIVE_NAME || request->step == FIVE_PASSWORD || request->step == FIVE_TOKEN) && request->left > 1; count--)
            request->left--;
        if (count == 0)
            break;
        /* fall through */
    default:
        begin(request, FORM_TEXT);
        give_up(request);
        break;
    }
}

/* TLS has begun, and goes on with these bytes, and perhaps with others that were not seen. */
static void read_hello(struct proxy_request *request, const unsigned char *bytes, size_t size, bool missed)
{
    size_t room = sizeof(request->hello) - request->begun;

    if (request->begun >= sizeof(request->hello))
        return;
    memcpy(request->hello + request->begun, bytes, size < room ? size : room);
    request->begun = size < room ? (uint8_t)(request->begun + size) : sizeof(request->hello);
    if (missed && size < room)
        request->begun = UINT8_MAX;
}

const uint8_t *proxy_request_hello(struct proxy_request *request)
{
    if (request->begun != sizeof(request->hello))
        return NULL;
    request->begun = UINT8_MAX;
    return request->hello[5] == 1 ? request->hello + 11 : NULL;
}

void proxy_request_read(struct proxy_request *request, const unsigned char *bytes, size_t size, size_t sent)
{
    if (size == 0)
        return;
    if (request->only_tls) {
        read_hello(request, bytes, size, sent > size);
        return;
    }
    if (request->step == OVER || (bytes[0] == TLS_HANDSHAKE && request->step >= HEADER && request->step <= HEADERS_END))
        request->step = START;
    /* What the call before has sent ended with a request, or was none. */
    if (request->step == START)
        request->exact = false;
    for (size_t i = 0; i < size && request->step != OVER; i++) {
        if (request->step == START)
            read_start(request, bytes[i]);
        else if (request->step <= HEADERS_END)
            read_http(request, bytes[i]);
        else if (request->step <= FOUR_NAME)
            read_socks_4(request, bytes[i]);
        else
            read_socks_5(request, bytes[i]);
        if (request->only_tls) {
            read_hello(request, bytes + i, size - i, sent > size);
            break;
        }
    }
    /* Empty lines alone: what follows begins anew. */
    if (request->step == START && !request->asked && !request->unclear && !request->only_tls)
        give_up(request);
    if (sent > size)
        miss(request, sent - size);
}

bool proxy_request_goes_on(const struct proxy_request *request)
{
    return request->only_tls ? request->begun < sizeof(request->hello) : request->step != OVER;
}

bool proxy_request_is_whole(const struct proxy_request *request)
{
    return request->step == START || request->step == HEADER || request->step == OVER;
}

enum proxy_asked proxy_request_host(const struct proxy_request *request, struct host *out)
{
    if (request->asked && read_host(request, out))
        return PROXY_ASKED;
    return request->lost ? PROXY_LOST : request->unclear ? PROXY_UNCLEAR : PROXY_NOT_ASKED;
}

#define METHOD_MOST 24
#define SCHEME_MOST 16

static bool is_letter(unsigned char c)
{
    return (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
}

static bool ends_authority(unsigned char c)
{
    return c <= ' ' || c == '/' || c == '?' || c == '#';
}

static uint16_t port_of(const char *scheme, size_t length)
{
    static const struct {
        char scheme[6];
        uint16_t port;
    } known[] = {{"http", 80}, {"ws", 80}, {"https", 443}, {"wss", 443}, {"ftp", 21}};
    char small[SCHEME_MOST + 1] = "";

    for (size_t i = 0; i < length && i < SCHEME_MOST; i++)
        small[i] = (char)(scheme[i] | 0x20);
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (strcmp(small, known[i].scheme) == 0)
            return known[i].port;
    }
    return 0;
}

enum proxy_clear proxy_request_in_clear(const unsigned char *bytes, size_t size, struct host *out)
{
    static const char slashes[] = "://";
    const char *text = (const char *)bytes;
    size_t scheme;
    size_t end;
    size_t at = 0;

    while (at < size && (text[at] == '\r' || text[at] == '\n'))
        at++;
    for (end = at; end < size && end - at < METHOD_MOST && (is_letter(bytes[end]) || text[end] == '-' || text[end] == '_'); end++)
        ;
    if (end == size)
        return PROXY_CLEAR_BEGINS;
    if (end == at || !is_blank(bytes[end]))
        return PROXY_CLEAR_NONE;
    for (at = end; at < size && is_blank(bytes[at]); at++)
        ;
    for (scheme = at; at < size && at - scheme < SCHEME_MOST && (is_letter(bytes[at]) || (bytes[at] >= '+' && bytes[at] <= '9' && text[at] != '/')); at++)
        ;
    if (at == size)
        return PROXY_CLEAR_BEGINS;
    end = at;
    for (size_t i = 0; i < sizeof(slashes) - 1; i++, at++) {
        if (at == size)
            return PROXY_CLEAR_BEGINS;
        if (end == scheme || text[at] != slashes[i])
            return PROXY_CLEAR_NONE;
    }
    for (size_t i = at; i < size; i++) {
        if (text[i] == '@')
            at = i + 1;
        if (!ends_authority(bytes[i]))
            continue;
        if (host_parse(text + at, i - at, out) == HOST_UNREADABLE)
            return PROXY_CLEAR_NONE;
        if (out->port == 0)
            out->port = port_of(text + scheme, end - scheme);
        return PROXY_CLEAR_ASKED;
    }
    return PROXY_CLEAR_BEGINS;
}
