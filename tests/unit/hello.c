/* hello.c: ClientHellos whole, cut at each byte, in pieces and over several records; TDS's header; DTLS; what only looks like one. */

#include "hello.h"
#include "unit.h"

#include <stdlib.h>
#include <string.h>

#define ROWS(table) (sizeof(table) / sizeof((table)[0]))

struct made {
    uint8_t bytes[4096];
    size_t length;
};

static void put(struct made *out, size_t bytes, unsigned long value)
{
    while (bytes-- > 0)
        out->bytes[out->length++] = (uint8_t)(value >> 8 * bytes);
}

static void put_text(struct made *out, const char *text)
{
    memcpy(out->bytes + out->length, text, strlen(text));
    out->length += strlen(text);
}

/* The length, of `bytes` bytes, of what was put since `start`. */
static void close_list(struct made *out, size_t start, size_t bytes)
{
    size_t length = out->length - start - bytes;

    for (size_t i = 0; i < bytes; i++)
        out->bytes[start + i] = (uint8_t)(length >> 8 * (bytes - 1 - i));
}

static void put_random(struct made *out)
{
    for (unsigned i = 0; i < HELLO_RANDOM; i++)
        put(out, 1, 0xa0 + i);
}

/* The handshake message, without its header. */
static void put_body(struct made *out, bool datagram, const char *sni, bool covered, unsigned padding)
{
    size_t extensions;
    size_t start;

    put(out, 2, datagram ? 0xfefd : 0x0303);
    put_random(out);
    put(out, 1, 32);
    for (int i = 0; i < 32; i++)
        put(out, 1, 7);
    if (datagram)
        put(out, 1, 0);
    put(out, 2, 4);
    put(out, 4, 0x13011302);
    put(out, 2, 0x0100);
    extensions = out->length;
    put(out, 2, 0);
    put(out, 2, 21);
    put(out, 2, padding);
    for (unsigned i = 0; i < padding; i++)
        put(out, 1, 0);
    if (covered)
        put(out, 5, 0xfe0d000100);
    if (sni != NULL) {
        put(out, 2, 0);
        start = out->length;
        put(out, 2, strlen(sni) + 5);
        put(out, 2, strlen(sni) + 3);
        put(out, 1, 0);
        put(out, 2, strlen(sni));
        put_text(out, sni);
        close_list(out, start, 2);
    }
    put(out, 5, 0x0017000000 >> 8);
    out->length--; /* 23, of length 0 */
    close_list(out, extensions, 2);
}

/* In records of at most `most` bytes. */
static void make_tls(struct made *out, const char *sni, bool covered, unsigned padding, size_t most)
{
    static struct made message;

    message.length = 0;
    put(&message, 1, 1);
    put(&message, 3, 0);
    put_body(&message, false, sni, covered, padding);
    close_list(&message, 1, 3);
    for (size_t at = 0; at < message.length; at += most) {
        size_t some = message.length - at < most ? message.length - at : most;

        put(out, 3, 0x160301);
        put(out, 2, some);
        memcpy(out->bytes + out->length, message.bytes + at, some);
        out->length += some;
    }
}

static void make_dtls(struct made *out, const char *sni, unsigned epoch, size_t fragment)
{
    static struct made body;
    size_t some;

    body.length = 0;
    put_body(&body, true, sni, false, 100);
    some = body.length < fragment ? body.length : fragment;
    put(out, 3, 0x16feff);
    put(out, 2, epoch);
    put(out, 6, 1);
    put(out, 2, some + 12);
    put(out, 1, 1);
    put(out, 3, body.length);
    put(out, 2, 0);
    put(out, 3, 0);
    put(out, 3, some);
    memcpy(out->bytes + out->length, body.bytes, some);
    out->length += some;
}

static bool has_random(const struct hello *hello)
{
    for (unsigned i = 0; i < HELLO_RANDOM; i++) {
        if (hello->random[i] != 0xa0 + i)
            return false;
    }
    return true;
}

static bool has_sni(const struct hello *hello, const char *sni)
{
    return hello->sni_length == strlen(sni) && memcmp(hello->sni, sni, hello->sni_length) == 0;
}

/* From a copy without a byte to spare. */
static enum hello_kind read_one(const uint8_t *bytes, size_t length, struct hello *out)
{
    uint8_t *copy = malloc(length != 0 ? length : 1);
    struct iovec part = {copy, length};
    enum hello_kind kind;

    memcpy(copy, bytes, length);
    kind = hello_read(&part, 1, out);
    free(copy);
    return kind;
}

static void whole(const struct made *made, const char *sni, const char *what)
{
    struct hello hello;
    struct iovec parts[64];
    size_t count = 0;

    check(read_one(made->bytes, made->length, &hello) == HELLO_CLIENT && hello.whole && has_random(&hello), "%s is a whole ClientHello", what);
    check(has_sni(&hello, sni), "%s has the SNI \"%s\"", what, sni);
    for (size_t at = 0; at < made->length; count++) {
        size_t some = count % 3 == 0 ? 0 : count * 5;

        some = some < made->length - at && count < 62 ? some : made->length - at;
        parts[count] = (struct iovec) {(void *)(uintptr_t)(made->bytes + at), some};
        at += some;
    }
    check(hello_read(parts, count, &hello) == HELLO_CLIENT && hello.whole && has_random(&hello) && has_sni(&hello, sni), "%s, gathered from pieces", what);
}

/* Each beginning is one, too: first of nothing yet, then with the random, then with the SNI. */
static void cut(const struct made *made, const char *sni, const char *what)
{
    enum hello_kind before = HELLO_BEGUN;
    struct hello hello;

    for (size_t length = 0; length < made->length; length++) {
        enum hello_kind kind = read_one(made->bytes, length, &hello);

        if (kind == HELLO_NONE || kind < before || (kind == HELLO_CLIENT && (hello.whole || !has_random(&hello) || (hello.sni_length != 0 && !has_sni(&hello, sni))))) {
            check(false, "%s, cut after %zu bytes", what, length);
            return;
        }
        before = kind;
    }
    check(before == HELLO_CLIENT, "%s, cut after each byte", what);
}

static void none(const char *hex, const char *what)
{
    struct hello hello;
    uint8_t bytes[256];
    size_t length = 0;
    int used;

    for (unsigned byte; sscanf(hex, "%2x%n", &byte, &used) == 1; hex += used)
        bytes[length++] = (uint8_t)byte;
    memset(bytes + length, 0, sizeof(bytes) - length);
    check(read_one(bytes, sizeof(bytes), &hello) == HELLO_NONE, "%s is no ClientHello", what);
}

static void streams(void)
{
    static const size_t records[] = {16384, 64, 5, 1};
    char what[64];
    struct hello hello;
    struct made made;

    for (size_t i = 0; i < sizeof(records) / sizeof(records[0]); i++) {
        snprintf(what, sizeof(what), "TLS in records of %zu", records[i]);
        made.length = 0;
        make_tls(&made, "www.example.com", false, 300, records[i]);
        whole(&made, "www.example.com", what);
        cut(&made, "www.example.com", what);
    }
    made.length = 0;
    put(&made, 8, 0x1201010000000100);
    make_tls(&made, "sql.example", false, 0, 16384);
    whole(&made, "sql.example", "TLS behind a TDS header");
    cut(&made, "sql.example", "TLS behind a TDS header");
    made.length = 0;
    make_tls(&made, NULL, false, 1500, 16384);
    whole(&made, "", "TLS without an SNI");
    check(!(read_one(made.bytes, made.length, &hello) == HELLO_CLIENT && hello.covered), "nothing covered");
    made.length = 0;
    make_tls(&made, "cover.example", true, 0, 16384);
    check(read_one(made.bytes, made.length, &hello) == HELLO_CLIENT && hello.covered, "ECH");
    /* A byte of something else after it changes nothing. */
    put(&made, 6, 0x170303000100);
    whole(&made, "cover.example", "TLS with a record after it");
}

static void long_name(void)
{
    char name[400];
    struct hello hello;
    struct made made = {.length = 0};

    memset(name, 'a', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    make_tls(&made, name, false, 0, 16384);
    check(read_one(made.bytes, made.length, &hello) == HELLO_CLIENT && hello.whole && hello.sni_length == sizeof(hello.sni), "a name that is too long");
}

/* Every length in it, one more or less and at its limits: what lies outside is not read (the sanitizer sees it), and the random stays. */
static void malformed(void)
{
    struct hello hello;
    struct made made = {.length = 0};
    int clients = 0;

    make_tls(&made, "www.example.com", true, 3, 16384);
    for (size_t at = 0; at < made.length; at++) {
        const uint8_t values[] = {0, 1, 0x7f, 0x80, 0xff, (uint8_t)(made.bytes[at] + 1), (uint8_t)(made.bytes[at] - 1)};
        uint8_t before = made.bytes[at];

        for (size_t i = 0; i < sizeof(values); i++) {
            made.bytes[at] = values[i];
            clients += read_one(made.bytes, made.length, &hello) == HELLO_CLIENT;
        }
        made.bytes[at] = before;
    }
    check(clients > 500, "a changed ClientHello is one as long as its random can be told");
}

static void datagrams(void)
{
    struct hello hello;
    struct made made = {.length = 0};

    make_dtls(&made, "www.example.com", 0, 4096);
    whole(&made, "www.example.com", "DTLS");
    check(read_one(made.bytes, made.length, &hello) == HELLO_CLIENT && hello.datagram, "a datagram");
    made.bytes[1] = made.bytes[25] = 1;
    made.bytes[2] = made.bytes[26] = 0;
    check(read_one(made.bytes, made.length, &hello) == HELLO_CLIENT && hello.datagram, "the version before the first (OpenConnect)");
    made.bytes[2] = 1;
    check(read_one(made.bytes, made.length, &hello) == HELLO_NONE, "no version");
    made.bytes[1] = made.bytes[25] = 0xfe;
    made.bytes[2] = made.bytes[26] = 0xfd;
    made.length = 0;
    make_dtls(&made, "www.example.com", 0, 120);
    check(read_one(made.bytes, made.length, &hello) == HELLO_CLIENT && hello.whole && has_random(&hello) && hello.sni_length == 0,
        "the first fragment of DTLS");
    made.length = 0;
    make_dtls(&made, "www.example.com", 0, 20);
    check(read_one(made.bytes, made.length, &hello) == HELLO_CLIENT && !has_random(&hello), "a fragment without the whole random");
    made.length = 0;
    make_dtls(&made, "www.example.com", 1, 4096);
    check(read_one(made.bytes, made.length, &hello) == HELLO_NONE, "DTLS of the second epoch is encrypted");
}

static void make_old(struct made *out, unsigned version, size_t specs, size_t session, size_t challenge)
{
    out->length = 0;
    put(out, 2, 0x8000 | (9 + specs + session + challenge));
    put(out, 1, 1);
    put(out, 2, version);
    put(out, 2, specs);
    put(out, 2, session);
    put(out, 2, challenge);
    for (size_t i = 0; i < specs + session; i++)
        put(out, 1, i);
    for (unsigned i = 0; i < challenge; i++)
        put(out, 1, 0xa0 + i);
}

static void old(void)
{
    static const struct {
        unsigned version;
        size_t specs, session, challenge;
        bool good;
    } rows[] = {{0x0303, 111, 0, 32, true}, {0x0301, 3, 16, 32, true}, {0x0002, 21, 0, 32, true}, {0x0300, 450, 0, 32, true}, {0x0303, 0, 0, 32, false},
        {0x0303, 110, 0, 32, false}, {0x0303, 111, 8, 32, false}, {0x0303, 111, 0, 33, false}, {0x0303, 111, 0, 15, false}, {0x0305, 111, 0, 32, false},
        {0x0003, 111, 0, 32, false}, {0x0103, 111, 0, 32, false}};
    struct hello hello;
    struct made made;

    for (size_t i = 0; i < ROWS(rows); i++) {
        make_old(&made, rows[i].version, rows[i].specs, rows[i].session, rows[i].challenge);
        if (rows[i].good) {
            whole(&made, "", "SSL 2.0's format");
            for (size_t length = 0; length < made.length; length++)
                check(read_one(made.bytes, length, &hello) == HELLO_BEGUN, "SSL 2.0's format, cut after %zu bytes", length);
        } else {
            check(read_one(made.bytes, made.length, &hello) == HELLO_NONE, "row %zu is not SSL 2.0's format", i);
        }
    }
    make_old(&made, 0x0303, 30, 0, 16);
    check(read_one(made.bytes, made.length, &hello) == HELLO_CLIENT && hello.whole && !hello.datagram && hello.random[0] == 0xa0 && hello.random[16] == 0xa0 && hello.random[31] == 0xaf,
        "a challenge of 16 bytes");
    for (size_t at = 0; at < HELLO_OLD_HEADER; at++) {
        make_old(&made, 0x0303, 30, 0, 32);
        made.bytes[at] ^= 0x15;
        check(read_one(made.bytes, made.length, &hello) == HELLO_NONE, "SSL 2.0's format, another byte at %zu", at);
    }
}

int main(void)
{
    streams();
    old();
    long_name();
    malformed();
    datagrams();
    none("", "nothing but zeros");
    none("434f4e4e454354", "a proxy's request");
    none("8000012c0000000300000000", "a call of ONC RPC");
    none("8105011234567890123456", "a frame of WebSocket");
    none("1603010028020000240303", "a ServerHello");
    none("16030300280100000000000000", "an encrypted Finished whose nonce starts with one");
    none("16030300280e8f7d", "an encrypted Finished");
    none("1605010100", "another version");
    none("160301000001", "an empty record");
    none("1603010004010000ff1703010004", "a message that goes on in a record of another kind");
    none("12020010000000001603010100", "a TDS packet with another status");
    return unit_end("hello");
}
