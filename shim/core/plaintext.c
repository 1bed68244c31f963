#include "plaintext.h"

#include "hello.h"

#include <string.h>

enum { WITHIN_NOTHING = 0, WITHIN_DOMAIN, WITHIN_LINE_END, WITHIN_ELEMENT, WITHIN_QUOTED /* by ' */, WITHIN_DOUBLE_QUOTED, WITHIN_PACKET, WITHIN_RECORD, WITHIN_ADDRESSES };

/* What a prefix of a line or of a message is. */
enum fit { FIT_NONE = 0, FIT_PREFIX, FIT_WHOLE, FIT_MORE /* the rest is not held: `within` says what it is */ };

#define RECORD_ALERT 21
#define RECORD_HANDSHAKE 22
#define CLIENT_HELLO 1
#define SERVER_HELLO 2

#define ELEMENT_MOST 4096
#define DOMAIN_MOST 255
#define RECORD_MOST (16384 + 2048) /* RFC 5246, section 6.2.3 */
#define ADDRESSES_MOST 107 /* with the words before them */
#define PROXIED_MOST 520
#define TAG_MOST 16
#define ENDED_MOST 16
#define TAG_LETTERS 4 /* before its first digit */

static const char *const lines[] = {"STARTTLS", "STLS", "AUTH TLS", "AUTH SSL", "AUTH TLS-C", "AUTH TLS-P", "CAPABILITY", "CAPABILITIES", "CAPA", "FEAT", "MODE READER",
    "NOOP", "RSET", "QUIT", "LOGOUT"};
/* Words that others follow. */
static const struct {
    const char *word;
    uint8_t within;
    uint16_t left;
} openings[] = {{"EHLO", WITHIN_DOMAIN, DOMAIN_MOST}, {"HELO", WITHIN_DOMAIN, DOMAIN_MOST}, {"LHLO", WITHIN_DOMAIN, DOMAIN_MOST},
    {"PROXY TCP4", WITHIN_ADDRESSES, ADDRESSES_MOST - sizeof("PROXY TCP4")}, {"PROXY TCP6", WITHIN_ADDRESSES, ADDRESSES_MOST - sizeof("PROXY TCP6")},
    {"PROXY UNKNOWN", WITHIN_ADDRESSES, ADDRESSES_MOST - sizeof("PROXY UNKNOWN")}};
static const char *const elements[] = {"<?xml", "<stream:stream", "</stream:stream", "<starttls", "</starttls"};

static bool begins_record(uint8_t type)
{
    return type >= 20 && type <= 24;
}

/* Return false if that was one too many. */
static bool begin_again(struct plaintext *state)
{
    *state = (struct plaintext) {.sent = state->sent, .secured = state->secured, .ended = (uint8_t)(state->ended + !state->secured)};
    return state->ended <= ENDED_MOST;
}

static bool is_alphanumeric(uint8_t c)
{
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
}

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool begins_same(const uint8_t *held, size_t length, const char *word)
{
    for (size_t i = 0; i < length && word[i] != '\0'; i++) {
        uint8_t c = held[i] >= 'a' && held[i] <= 'z' ? held[i] - 0x20 : held[i];

        if (c != (uint8_t)word[i])
            return false;
    }
    return true;
}

/* A line without its tag. */
static enum fit fit_command(struct plaintext *state, size_t at)
{
    const uint8_t *held = state->held + at;
    size_t length = state->length - at;
    enum fit fit = FIT_NONE;

    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]) && fit != FIT_WHOLE; i++) {
        size_t size = strlen(lines[i]);

        if (!begins_same(held, length, lines[i]))
            continue;
        if (length <= size || (length == size + 1 && held[size] == '\r'))
            fit = FIT_PREFIX;
        else if (held[length - 1] == '\n' && (length == size + 1 || (length == size + 2 && held[size] == '\r')))
            fit = FIT_WHOLE;
    }
    for (size_t i = 0; i < sizeof(openings) / sizeof(openings[0]) && fit == FIT_NONE; i++) {
        size_t size = strlen(openings[i].word);

        if (!begins_same(held, length, openings[i].word))
            continue;
        if (length <= size) {
            fit = FIT_PREFIX;
        } else if (length == size + 1 && (held[size] == ' ' || held[size] == '\r' || (held[size] == '\n' && openings[i].within == WITHIN_DOMAIN))) {
            state->within = held[size] == '\r' ? WITHIN_LINE_END : openings[i].within;
            state->left = openings[i].left;
            fit = held[size] == '\n' ? FIT_WHOLE : FIT_MORE;
        }
    }
    return fit;
}

/* A line, perhaps with a tag of IMAP. In the clients that were looked at, that is a full stop, a letter, or at most four letters and a number: any other
 * word would let the commands of other protocols through. */
static enum fit fit_line(struct plaintext *state)
{
    enum fit fit = fit_command(state, 0);
    size_t tag = 0;
    bool digit = false;

    if (fit != FIT_NONE)
        return fit;
    for (; tag < state->length && tag < TAG_MOST && (is_alphanumeric(state->held[tag]) || state->held[tag] == '.'); tag++)
        digit |= state->held[tag] >= '0' && state->held[tag] <= '9';
    if (tag == state->length)
        return digit || tag <= TAG_LETTERS ? FIT_PREFIX : FIT_NONE;
    return tag > 0 && (digit || tag == 1) && state->held[tag] == ' ' ? fit_command(state, tag + 1) : FIT_NONE;
}

static enum fit fit_element(struct plaintext *state)
{
    enum fit fit = FIT_NONE;
    uint8_t last = state->held[state->length - 1];

    for (size_t i = 0; i < sizeof(elements) / sizeof(elements[0]) && fit == FIT_NONE; i++) {
        size_t size = strlen(elements[i]);

        if (state->length <= size) {
            fit = memcmp(state->held, elements[i], state->length) == 0 ? FIT_PREFIX : FIT_NONE;
        } else if (state->length == size + 1 && memcmp(state->held, elements[i], size) == 0 && (is_blank(last) || last == '>' || last == '/')) {
            state->within = WITHIN_ELEMENT;
            state->left = ELEMENT_MOST;
            fit = last == '>' ? FIT_WHOLE : FIT_MORE;
        }
    }
    return fit;
}

static enum fit fit_bytes(const struct plaintext *state, const uint8_t *whole, size_t size)
{
    size_t length = state->length < size ? state->length : size;

    if (state->length > size || memcmp(state->held, whole, length) != 0)
        return FIT_NONE;
    return state->length == size ? FIT_WHOLE : FIT_PREFIX;
}

static enum fit fit_postgresql(const struct plaintext *state)
{
    static const uint8_t ssl[] = {0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f};
    static const uint8_t gss[] = {0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x30};
    enum fit fit = fit_bytes(state, ssl, sizeof(ssl));

    return fit != FIT_NONE ? fit : fit_bytes(state, gss, sizeof(gss));
}

/* A header of the PROXY protocol in its second form, whose first four bytes are blank lines. */
static enum fit fit_proxied(struct plaintext *state)
{
    static const uint8_t start[] = {0, '\r', '\n', 'Q', 'U', 'I', 'T', '\n'};
    size_t length = state->length < sizeof(start) ? state->length : sizeof(start);
    size_t size = (size_t)state->held[10] << 8 | state->held[11];

    if (memcmp(state->held, start, length) != 0 || (state->length > 8 && (state->held[8] & 0xfe) != 0x20) || (state->length == 12 && size > PROXIED_MOST))
        return FIT_NONE;
    if (state->length < 12)
        return FIT_PREFIX;
    state->within = WITHIN_PACKET;
    state->left = (uint16_t)size;
    return size == 0 ? FIT_WHOLE : FIT_MORE;
}

/* 32 bytes, of which the capabilities have CLIENT_SSL; 19 are zero, and the last four are so too, or MariaDB's capabilities. */
static enum fit fit_mysql(const struct plaintext *state)
{
    static const uint8_t header[] = {32, 0, 0, 1};

    for (size_t i = 0; i < state->length; i++) {
        bool good = i < 4 ? state->held[i] == header[i] : i == 5 ? (state->held[i] & 8) != 0 : i < 13 || i >= 32 || state->held[i] == 0;

        if (!good)
            return FIT_NONE;
    }
    return state->length == 36 ? FIT_WHOLE : FIT_PREFIX;
}

/* The type, the status, and the length of the packet with this header. */
static enum fit fit_tds(struct plaintext *state)
{
    size_t size;

    if ((state->length > 1 && state->held[1] > 1) || state->length < 8)
        return state->length > 1 && state->held[1] > 1 ? FIT_NONE : FIT_PREFIX;
    size = (size_t)state->held[2] << 8 | state->held[3];
    if (size < 8 || size > ELEMENT_MOST)
        return FIT_NONE;
    state->within = WITHIN_PACKET;
    state->left = (uint16_t)(size - 8);
    return size == 8 ? FIT_WHOLE : FIT_MORE;
}

/* A connection request (X.224, section 13.3) in a TPKT (RFC 1006, section 6). */
static enum fit fit_rdp(struct plaintext *state)
{
    static const uint8_t start[] = {3, 0};
    size_t size = (size_t)state->held[2] << 8 | state->held[3];

    if (memcmp(state->held, start, state->length < 2 ? state->length : 2) != 0 || (state->length > 3 && (size < 11 || size > 255))
        || (state->length > 4 && state->held[4] != size - 5) || (state->length > 5 && state->held[5] != 0xe0))
        return FIT_NONE;
    if (state->length < 6)
        return FIT_PREFIX;
    state->within = WITHIN_PACKET;
    state->left = (uint16_t)(size - 6);
    return FIT_MORE;
}

/* Read the length of a value in BER at `*at`. Return false if it is malformed or, with `*at` beyond the end, not all there. */
static bool read_length(const struct plaintext *state, size_t *at, size_t *out)
{
    size_t more;

    *out = *at < state->length ? state->held[*at] : 0;
    (*at)++;
    if (*out < 0x80)
        return true;
    more = *out & 0x7f;
    if (more == 0 || more > 4)
        return false;
    for (*out = 0; more > 0; more--, (*at)++)
        *out = *out << 8 | (*at < state->length ? state->held[*at] : 0);
    return true;
}

static enum fit fit_ldap(const struct plaintext *state)
{
    static const uint8_t oid[] = "1.3.6.1.4.1.1466.20037";
    size_t at = 1;
    size_t whole, size, end;

#define EXPECT(tag) \
    if (at >= state->length) \
        return FIT_PREFIX; \
    if (state->held[at++] != (tag)) \
        return FIT_NONE
    if (!read_length(state, &at, &whole) || (at <= state->length && (whole < 5 || whole > 50)))
        return FIT_NONE;
    end = at + whole;
    EXPECT(0x02);
    if (!read_length(state, &at, &size) || (at <= state->length && (size < 1 || size > 4)))
        return FIT_NONE;
    at += size;
    if (at >= state->length)
        return FIT_PREFIX;
    if (state->held[at] == 0x42) {
        at++;
        EXPECT(0x00);
        return at == end && state->length == end ? FIT_WHOLE : FIT_NONE;
    }
    EXPECT(0x77);
    if (!read_length(state, &at, &size) || (at <= state->length && at + size != end))
        return FIT_NONE;
    EXPECT(0x80);
    if (!read_length(state, &at, &size) || (at <= state->length && (size != sizeof(oid) - 1 || at + size != end)))
        return FIT_NONE;
    if (at < state->length && memcmp(state->held + at, oid, state->length - at < size ? state->length - at : size) != 0)
        return FIT_NONE;
#undef EXPECT
    return state->length < end ? FIT_PREFIX : FIT_WHOLE;
}

/* The first has a ClientHello; or a ServerHello, where the end that has connected is the server. */
static enum fit fit_record(struct plaintext *state)
{
    size_t size = (size_t)state->held[3] << 8 | state->held[4];

    if ((state->length > 1 && state->held[1] != 3) || (state->length > 2 && state->held[2] > 4))
        return FIT_NONE;
    if (state->length < 5)
        return FIT_PREFIX;
    if (size > RECORD_MOST)
        return FIT_NONE;
    if (!state->secured && (state->held[0] != RECORD_ALERT || size > 2)) {
        if (state->held[0] != RECORD_HANDSHAKE || size == 0 || (state->length > 5 && state->held[5] != CLIENT_HELLO && state->held[5] != SERVER_HELLO))
            return FIT_NONE;
        if (state->length == 5)
            return FIT_PREFIX;
        state->secured = true;
        size--;
    }
    state->within = WITHIN_RECORD;
    state->left = (uint16_t)size;
    return size == 0 ? FIT_WHOLE : FIT_MORE;
}

/* A ClientHello in the format of SSL 2.0, which records follow. */
static enum fit fit_old(struct plaintext *state)
{
    if (!hello_is_old(state->held, state->length))
        return FIT_NONE;
    if (state->length < HELLO_OLD_HEADER)
        return FIT_PREFIX;
    state->secured = true;
    state->within = WITHIN_RECORD;
    state->left = (uint16_t)(((state->held[0] & 1U) << 8 | state->held[1]) + 2U - HELLO_OLD_HEADER);
    return FIT_MORE;
}

/* What the bytes that are held can be the beginning of. */
static enum fit fit_held(struct plaintext *state)
{
    if (begins_record(state->held[0]) || state->secured)
        return begins_record(state->held[0]) ? fit_record(state) : FIT_NONE;
    if (hello_may_be_old(state->held[0]))
        return fit_old(state);
    switch (state->held[0]) {
    case 0x00:
        return state->length > 1 && state->held[1] == '\r' ? fit_proxied(state) : fit_postgresql(state);
    case 0x03:
        return fit_rdp(state);
    case 0x12:
        return fit_tds(state);
    case 0x20:
        return state->length == 1 || state->held[1] == 0 ? fit_mysql(state) : FIT_NONE;
    case '<':
        return fit_element(state);
    case '0': /* also the first byte of a message of LDAP, whose second or third is no text */
        return state->length == 1 || (state->held[1] >= ' ' && state->held[1] < 0x7f && (state->length == 2 || state->held[2] != 0x02)) ? fit_line(state)
                                                                                                                                   : fit_ldap(state);
    case '\r':
    case '\n':
        return FIT_WHOLE;
    default:
        return fit_line(state);
    }
}

/* Return true if the byte may come within what is not held. */
static bool allows_within(struct plaintext *state, uint8_t byte)
{
    bool ends = false;
    bool good = true;

    switch (state->within) {
    case WITHIN_DOMAIN:
        ends = byte == '\n';
        good = ends || byte == '\r' || is_alphanumeric(byte) || (byte != '\0' && strchr(".:-_[]", byte) != NULL);
        if (byte == '\r')
            state->within = WITHIN_LINE_END;
        break;
    case WITHIN_ADDRESSES:
        good = byte == '\r' || byte == ' ' || byte == '.' || byte == ':' || (byte >= '0' && byte <= '9') || ((byte | 0x20) >= 'a' && (byte | 0x20) <= 'f');
        if (byte == '\r')
            state->within = WITHIN_LINE_END;
        break;
    case WITHIN_LINE_END:
        ends = good = byte == '\n';
        break;
    case WITHIN_ELEMENT:
        ends = byte == '>';
        good = byte != '<';
        if (byte == '\'' || byte == '"')
            state->within = byte == '"' ? WITHIN_DOUBLE_QUOTED : WITHIN_QUOTED;
        break;
    case WITHIN_QUOTED:
    case WITHIN_DOUBLE_QUOTED:
        good = byte != '<';
        if (byte == (state->within == WITHIN_QUOTED ? '\'' : '"'))
            state->within = WITHIN_ELEMENT;
        break;
    default:
        ends = state->left == 1;
        break;
    }
    if (state->left == 0)
        return false;
    state->left--;
    return good && (!ends || begin_again(state));
}

bool plaintext_is_record(const struct plaintext *state, uint8_t first)
{
    if (state->length > 0)
        first = state->held[0];
    return state->secured || begins_record(first) || hello_may_be_old(first);
}

bool plaintext_allows(struct plaintext *state, const uint8_t *bytes, size_t size)
{
    size_t i = state->owed < size ? state->owed : size;

    state->owed -= (uint32_t)i;
    for (; i < size; i++) {
        enum fit fit = FIT_NONE;

        if (state->within == WITHIN_RECORD) {
            size_t part = size - i < state->left ? size - i : state->left;

            state->left = (uint16_t)(state->left - part);
            i += part - 1;
            if (state->left == 0 && !begin_again(state))
                return false;
            continue;
        }
        if (state->within != WITHIN_NOTHING) {
            if (!allows_within(state, bytes[i]))
                return false;
            continue;
        }
        if (state->length < PLAINTEXT_HELD) {
            state->held[state->length++] = bytes[i];
            fit = fit_held(state);
        }
        if (fit == FIT_NONE || (fit == FIT_WHOLE && !begin_again(state)))
            return false;
    }
    return true;
}
