/* quic.c and aes.c: Initial packets that are protected here by libcrypto, after the RFCs' own examples; ClientHellos in pieces, in any order, over several
 * packets and datagrams; what only looks like one. */

#include "aes.h"
#include "quic.h"
#include "unit.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>

#define V1 1U
#define V2 0x6b3343cfU
#define DRAFT_29 0xff00001dU
#define PAYLOAD 1162

static const uint8_t salts[][20] = {
    {0x38, 0x76, 0x2c, 0xf7, 0xf5, 0x59, 0x34, 0xb3, 0x4d, 0x17, 0x9a, 0xe6, 0xa4, 0xc8, 0x0c, 0xad, 0xcc, 0xbb, 0x7f, 0x0a},
    {0x0d, 0xed, 0xe3, 0xde, 0xf7, 0x00, 0xa6, 0xdb, 0x81, 0x93, 0x81, 0xbe, 0x6e, 0x26, 0x9d, 0xcb, 0xf9, 0xbd, 0x2e, 0xd9},
    {0xaf, 0xbf, 0xec, 0x28, 0x99, 0x93, 0xd2, 0x4c, 0x9e, 0x97, 0x86, 0xf1, 0x9c, 0x61, 0x11, 0xe0, 0x43, 0x90, 0xa8, 0x99},
};

/* The CRYPTO frame of RFC 9001, appendix A.2. */
static const char example[] = "060040f1010000ed0303ebf8fa56f12939b9584a3896472ec40bb863cfd3e86804fe3a47f06a2b69484c00000413011302010000c0000000"
                              "10000e00000b6578616d706c652e636f6dff01000100000a00080006001d0017001800100007000504616c706e000500050100000000003300"
                              "260024001d00209370b2c9caa47fbabaf4559fedba753de171fa71f50f1ce15d43e994ec74d748002b0003020304000d0010000e0403050306"
                              "030203080408050806002d00020101001c00024001003900320408ffffffffffffffff05048000ffff07048000ffff08011001048000753009"
                              "01100f088394c8f03e51570806048000ffff";
#define EXAMPLE_FRAME 245
#define EXAMPLE_HELLO 241
static uint8_t frame[EXAMPLE_FRAME];
static const uint8_t *const message = frame + 4;

static size_t from_hex(const char *hex, uint8_t *out)
{
    size_t size = strlen(hex) / 2;

    for (size_t i = 0; i < size; i++) {
        char pair[3] = {hex[2 * i], hex[2 * i + 1], '\0'};

        out[i] = (uint8_t)strtoul(pair, NULL, 16);
    }
    return size;
}

static void expand(const uint8_t *secret, const char *label, size_t size, uint8_t *out)
{
    uint8_t info[64] = {0, (uint8_t)size, (uint8_t)(6 + strlen(label))};
    uint8_t bytes[32];

    memcpy(info + 3, "tls13 ", 6);
    memcpy(info + 9, label, strlen(label));
    info[10 + strlen(label)] = 1;
    HMAC(EVP_sha256(), secret, 32, info, 11 + strlen(label), bytes, NULL);
    memcpy(out, bytes, size);
}

struct datagram {
    uint8_t bytes[8192];
    size_t size;
};

struct shape {
    uint32_t version;
    uint8_t id_length; /* 0: 8 */
    uint8_t id_begin; /* 0: that of the example */
    uint8_t origin; /* not 0: protected under the keys of the ID of 8 bytes that begins so */
    uint8_t source; /* not 0: the client's own ID begins so, else it has none */
    uint8_t number_length; /* 0: 4 */
    uint8_t token; /* its length */
    bool foreign; /* protected under the keys of another connection ID */
    uint8_t first; /* 0: an Initial packet's */
};

/* Append a packet with this payload, padded by frames to `padded` bytes. */
static void put_packet(struct datagram *out, struct shape shape, const uint8_t *payload, size_t size, size_t padded)
{
    unsigned which = shape.version == V1 ? 0 : shape.version == V2 ? 1 : 2;
    const char *const prefix = which == 1 ? "quicv2" : "quic";
    unsigned number_length = shape.number_length != 0 ? shape.number_length : 4;
    uint8_t *begin = out->bytes + out->size;
    uint8_t *at = begin;
    uint8_t secret[32], key[16], iv[12], hp[16], mask[32], id[20];
    uint8_t *number;
    char label[32];
    EVP_CIPHER_CTX *cipher = EVP_CIPHER_CTX_new();
    int length;

    if (shape.id_length == 0)
        shape.id_length = 8;
    for (unsigned i = 0; i < sizeof(id); i++)
        id[i] = (uint8_t)(shape.id_begin + i * 7);
    if (shape.id_begin == 0)
        from_hex("8394c8f03e515708", id);
    *at++ = (uint8_t)((shape.first != 0 ? shape.first : which == 1 ? 0xd0 : 0xc0) | (number_length - 1));
    for (int i = 24; i >= 0; i -= 8)
        *at++ = (uint8_t)(shape.version >> i);
    *at++ = shape.id_length;
    memcpy(at, id, shape.id_length);
    at += shape.id_length;
    *at++ = shape.source != 0 ? 8 : 0;
    for (unsigned i = 0; shape.source != 0 && i < 8; i++)
        *at++ = (uint8_t)(shape.source + i);
    *at++ = shape.token;
    memset(at, 0xc0, shape.token);
    at += shape.token;
    length = (int)(number_length + padded + 16);
    *at++ = (uint8_t)(0x40 | length >> 8);
    *at++ = (uint8_t)length;
    number = at;
    for (unsigned i = 0; i < number_length; i++)
        *at++ = i + 1 == number_length ? 2 : 0;

    if (shape.foreign)
        id[0] ^= 1;
    for (unsigned i = 0; shape.origin != 0 && i < 8; i++)
        id[i] = (uint8_t)(shape.origin + i * 7);
    HMAC(EVP_sha256(), salts[which], 20, id, shape.origin != 0 ? 8 : shape.id_length, secret, NULL);
    expand(secret, "client in", 32, secret);
    snprintf(label, sizeof(label), "%s key", prefix);
    expand(secret, label, 16, key);
    snprintf(label, sizeof(label), "%s iv", prefix);
    expand(secret, label, 12, iv);
    snprintf(label, sizeof(label), "%s hp", prefix);
    expand(secret, label, 16, hp);
    iv[11] ^= 2;
    EVP_EncryptInit_ex(cipher, EVP_aes_128_gcm(), NULL, key, iv);
    EVP_EncryptUpdate(cipher, NULL, &length, begin, (int)(at - begin));
    EVP_EncryptUpdate(cipher, at, &length, payload, (int)size);
    for (size_t i = size; i < padded; i++)
        EVP_EncryptUpdate(cipher, at + i, &length, (const uint8_t *)"", 1);
    EVP_EncryptFinal_ex(cipher, at + padded, &length);
    EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_GCM_GET_TAG, 16, at + padded);
    out->size = (size_t)(at + padded + 16 - out->bytes);
    EVP_EncryptInit_ex(cipher, EVP_aes_128_ecb(), NULL, hp, NULL);
    EVP_EncryptUpdate(cipher, mask, &length, number + 4, 16);
    begin[0] ^= mask[0] & 0x0f;
    for (unsigned i = 0; i < number_length; i++)
        number[i] ^= mask[1 + i];
    EVP_CIPHER_CTX_free(cipher);
}

/* A CRYPTO frame with these bytes of the example. */
static size_t put_piece(uint8_t *out, size_t begin, size_t end)
{
    out[0] = 6;
    out[1] = (uint8_t)(0x40 | begin >> 8);
    out[2] = (uint8_t)begin;
    out[3] = (uint8_t)(0x40 | (end - begin) >> 8);
    out[4] = (uint8_t)(end - begin);
    memcpy(out + 5, message + begin, end - begin);
    return 5 + end - begin;
}

static enum hello_kind read_datagram(const struct datagram *from, struct hello *out)
{
    struct iovec part = {(void *)(uintptr_t)from->bytes, from->size};

    memset(out, 0x55, sizeof(*out));
    return quic_read(&part, 1, out);
}

static bool is_example(const struct hello *hello)
{
    return hello->whole && hello->datagram && !hello->covered && memcmp(hello->random, message + 6, HELLO_RANDOM) == 0 && hello->sni_length == 11
        && memcmp(hello->sni, "example.com", 11) == 0;
}

static uint8_t next_id = 1;

static void test_examples(void)
{
    static const struct {
        uint32_t version;
        const char *begin, *end; /* of the packet (RFC 9001, RFC 9369: appendix A.2) */
    } rows[] = {
        {V1, "c000000001088394c8f03e5157080000449e7b9aec34d1b1c98dd7689fb8ec11", "e221af44860018ab0856972e194cd934"},
        {V2, "d76b3343cf088394c8f03e5157080000449ea0c95e82ffe67b6abcdb4298b485", "a18b2faa745b6fe189cf772a9f84cbfc"},
        {DRAFT_29, NULL, NULL},
        {DRAFT_29 + 3, NULL, NULL},
    };
    uint8_t bytes[64];

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct datagram datagram = {.size = 0};
        struct hello hello;

        put_packet(&datagram, (struct shape) {.version = rows[i].version}, frame, sizeof(frame), PAYLOAD);
        check(datagram.size == QUIC_INITIAL_LEAST, "the example's size");
        if (rows[i].begin != NULL) {
            size_t size = from_hex(rows[i].begin, bytes);

            check(memcmp(bytes, datagram.bytes, size) == 0, "version %x: the example begins as it does in the RFC", rows[i].version);
            size = from_hex(rows[i].end, bytes);
            check(memcmp(bytes, datagram.bytes + datagram.size - size, size) == 0, "version %x: the example ends as it does in the RFC", rows[i].version);
        }
        check(quic_may_begin(datagram.bytes[0]) && quic_has_version(datagram.bytes), "version %x is known", rows[i].version);
        check(read_datagram(&datagram, &hello) == HELLO_CLIENT && is_example(&hello), "version %x: the example is read", rows[i].version);
    }
    check(!quic_has_version((const uint8_t[]) {0xc0, 0, 0, 0, 2}) && !quic_has_version((const uint8_t[]) {0xc0, 0xff, 0, 0, 33}), "other versions are not known");
}

static void test_headers(void)
{
    static const struct shape rows[] = {{V1, .id_length = 20}, {V1, .id_length = 1}, {V1, .number_length = 1}, {V1, .number_length = 2},
        {V1, .number_length = 3, .token = 40}, {V2, .id_length = 18, .number_length = 1, .token = 63},
        /* Without the QUIC bit. */
        {V1, .first = 0x80, .token = 30}, {V2, .first = 0x90, .number_length = 2}};

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct datagram datagram = {.size = 0};
        struct shape shape = rows[i];
        struct hello hello;

        shape.id_begin = ++next_id;
        put_packet(&datagram, shape, frame, sizeof(frame), PAYLOAD);
        check(quic_may_begin(datagram.bytes[0]) && read_datagram(&datagram, &hello) == HELLO_CLIENT && is_example(&hello), "header %zu", i);
        /* Gathered from parts that end anywhere. */
        for (size_t cut = 0; cut <= 60; cut++) {
            struct iovec parts[] = {{datagram.bytes, cut}, {NULL, 0}, {datagram.bytes + cut, 7}, {datagram.bytes + cut + 7, datagram.size - cut - 7}};

            memset(&hello, 0x55, sizeof(hello));
            check(quic_read(parts, 4, &hello) == HELLO_CLIENT && is_example(&hello), "header %zu, cut at %zu", i, cut);
        }
    }
}

/* Pieces of the example within one packet: with padding and pings between them, an acknowledgement before, in any order, overlapping. */
static void test_pieces(void)
{
    static const size_t cuts[] = {1, 5, 6, 20, 38, 39, 70, 100, 240};

    for (size_t i = 0; i < sizeof(cuts) / sizeof(cuts[0]); i++) {
        for (int order = 0; order < 2; order++) {
            struct datagram datagram = {.size = 0};
            uint8_t payload[1024] = {0, 1, 2, 0x40, 9, 3, 1, 2, 4, 5, 3, 1, 0, 0, 0, 1, 2, 3, 1, 0};
            size_t size = 20;
            struct hello hello;

            size += order == 0 ? put_piece(payload + size, 0, cuts[i]) : put_piece(payload + size, cuts[i], EXAMPLE_HELLO);
            payload[size++] = 1;
            payload[size++] = 0;
            size += order == 0 ? put_piece(payload + size, cuts[i] > 10 ? cuts[i] - 10 : cuts[i], EXAMPLE_HELLO) : put_piece(payload + size, 0, cuts[i]);
            put_packet(&datagram, (struct shape) {.version = V1, .id_begin = ++next_id}, payload, size, PAYLOAD);
            check(read_datagram(&datagram, &hello) == HELLO_CLIENT && is_example(&hello), "in two frames, cut at %zu, order %d", cuts[i], order);
        }
    }
}

/* The same over two packets of one call, and over two calls. */
static void test_datagrams(void)
{
    static const size_t cuts[] = {3, 38, 39, 60, 100};

    for (size_t i = 0; i < sizeof(cuts) / sizeof(cuts[0]); i++) {
        for (int order = 0; order < 2; order++) {
            struct datagram pieces[2] = {{.size = 0}, {.size = 0}};
            struct datagram both;
            struct shape shape = {.version = i % 2 == 0 ? V1 : V2, .id_begin = ++next_id};
            enum hello_kind kind;
            struct hello hello;

            for (int j = 0; j < 2; j++) {
                uint8_t payload[512];
                size_t size = (j ^ order) == 0 ? put_piece(payload, 0, cuts[i]) : put_piece(payload, cuts[i], EXAMPLE_HELLO);

                put_packet(&pieces[j], shape, payload, size, PAYLOAD);
            }
            kind = read_datagram(&pieces[0], &hello);
            if (order == 0 && cuts[i] >= 39) {
                check(kind == HELLO_CLIENT && !hello.whole && hello.datagram && memcmp(hello.random, message + 6, HELLO_RANDOM) == 0,
                    "the first piece, cut at %zu, has the random", cuts[i]);
                check(hello.sni_length == 0 && hello.early_sni == (cuts[i] == 100 ? 11U : 0), "its name, cut at %zu, does not count yet", cuts[i]);
            } else {
                check(kind == HELLO_BEGUN, "piece %d, cut at %zu, is a beginning", order, cuts[i]);
            }
            check(read_datagram(&pieces[1], &hello) == HELLO_CLIENT && is_example(&hello), "in two datagrams, cut at %zu, order %d", cuts[i], order);
            check(read_datagram(&pieces[0], &hello) == HELLO_CLIENT && is_example(&hello), "sent again, the first is known as a part of it");

            shape.id_begin = ++next_id;
            both.size = 0;
            for (int j = 0; j < 2; j++) {
                uint8_t payload[512];
                size_t size = (j ^ order) == 0 ? put_piece(payload, 0, cuts[i]) : put_piece(payload, cuts[i], EXAMPLE_HELLO);

                put_packet(&both, shape, payload, size, j == 0 ? 300 : PAYLOAD);
                /* Zeros fill a datagram up. */
                for (int k = 0; k < 40; k++)
                    both.bytes[both.size++] = 0;
            }
            check(read_datagram(&both, &hello) == HELLO_CLIENT && is_example(&hello), "in two packets of one call, cut at %zu, order %d", cuts[i], order);
        }
    }
}

static void test_others(void)
{
    struct datagram datagram = {.size = 0};
    struct datagram copy;
    struct hello hello;
    uint8_t payload[64] = {0};

    put_packet(&datagram, (struct shape) {.version = V1, .id_begin = ++next_id, .foreign = true}, frame, sizeof(frame), PAYLOAD);
    check(read_datagram(&datagram, &hello) == HELLO_NONE, "a packet under other keys, as a server's, is none");
    datagram.size = 0;
    put_packet(&datagram, (struct shape) {.version = V1, .id_begin = ++next_id}, payload, sizeof(payload), PAYLOAD);
    check(read_datagram(&datagram, &hello) == HELLO_NONE, "a packet without a CRYPTO frame has none");
    payload[0] = 6;
    payload[1] = 0;
    payload[2] = 0x7f;
    datagram.size = 0;
    put_packet(&datagram, (struct shape) {.version = V1, .id_begin = ++next_id}, payload, sizeof(payload), 100);
    check(read_datagram(&datagram, &hello) == HELLO_NONE, "a CRYPTO frame that is longer than its packet is none");
    datagram.size = 0;
    /* 0-RTT before it, in either version. */
    put_packet(&datagram, (struct shape) {.version = V1, .id_begin = ++next_id, .first = 0xd0}, frame, sizeof(frame), 300);
    check(read_datagram(&datagram, &hello) == HELLO_NONE, "another type of packet has none");

    for (size_t size = 0; size < QUIC_INITIAL_LEAST; size++) {
        datagram.size = 0;
        put_packet(&datagram, (struct shape) {.version = V1, .id_begin = next_id + 1}, frame, sizeof(frame), PAYLOAD);
        memset(datagram.bytes + size, 0, sizeof(datagram.bytes) - size);
        copy = datagram;
        copy.size = size;
        check(read_datagram(&copy, &hello) == HELLO_NONE, "cut to %zu bytes it is none", size);
    }
    for (unsigned i = 0; i < 20000; i++) {
        datagram.size = QUIC_INITIAL_LEAST;
        for (size_t j = 0; j < 300; j++)
            datagram.bytes[j] = (uint8_t)random();
        memcpy(datagram.bytes, (uint8_t[]) {0xc3, 0, 0, 0, 1}, 5);
        datagram.bytes[5] %= 21;
        if (read_datagram(&datagram, &hello) == HELLO_CLIENT)
            check(false, "noise is read as a ClientHello");
    }
}

/* A ClientHello that is too long to be kept, with its SNI at the end, is nobody's. */
static void test_long(void)
{
    struct shape shape = {.version = V1, .id_begin = ++next_id};
    uint8_t payload[1100];
    struct hello hello;
    enum hello_kind kind = HELLO_NONE;

    for (size_t offset = 0; offset < 9000; offset += 1000) {
        struct datagram datagram = {.size = 0};

        memcpy(payload, (uint8_t[]) {6, (uint8_t)(0x40 | offset >> 8), (uint8_t)offset, 0x43, 0xe8}, 5);
        memset(payload + 5, 0, 1000);
        if (offset == 0)
            memcpy(payload + 5, (uint8_t[]) {1, 0, 0x20, 0, 3, 3}, 6);
        /* An extension that fills it, behind the random, no session, two suites and a compression. */
        if (offset == 0)
            memcpy(payload + 5 + 38, (uint8_t[]) {0, 0, 2, 0x13, 1, 1, 0, 0x1f, 0x00, 0xfa, 0xfa, 0x1e, 0x00}, 13);
        put_packet(&datagram, shape, payload, 1005, PAYLOAD);
        kind = read_datagram(&datagram, &hello);
        if (offset < 8000)
            check(kind == HELLO_CLIENT && !hello.whole && hello.sni_length == 0, "the end of a long one is waited for");
    }
    check(kind == HELLO_CLIENT && hello.whole && hello.covered && hello.sni_length == 1, "one that is too long is covered");
}

/* Halves of more ClientHellos than are kept: where the beginning was forgotten, the end is nobody's. */
static void test_forgotten(void)
{
    unsigned wholes = 0, covered = 0;

    for (int half = 0; half < 2; half++) {
        for (unsigned i = 0; i < 300; i++) {
            struct shape shape = {.version = V1, .id_begin = (uint8_t)(1 + i % 250), .id_length = (uint8_t)(10 + i / 250)};
            struct datagram datagram = {.size = 0};
            uint8_t payload[512];
            size_t size = half == 0 ? put_piece(payload, 0, 60) : put_piece(payload, 60, EXAMPLE_HELLO);
            struct hello hello;
            enum hello_kind kind;

            put_packet(&datagram, shape, payload, size, PAYLOAD);
            kind = read_datagram(&datagram, &hello);
            check(kind == HELLO_CLIENT, "half %d of connection %u", half, i);
            wholes += half == 1 && is_example(&hello);
            covered += half == 1 && hello.covered && hello.sni_length == 1;
        }
    }
    check(wholes + covered == 300 && covered >= 44, "%u whole, %u covered", wholes, covered);
}

/* When the server has told its own ID, the client sends to that, under the keys of the first; whether or not the client has an ID of its own, beside others. */
static void test_servers_id(void)
{
    for (uint8_t source = 0; source < 2; source++) {
        for (int order = 0; order < 2; order++) {
            struct datagram pieces[3] = {{.size = 0}, {.size = 0}, {.size = 0}};
            uint8_t first = ++next_id, other = ++next_id, servers = ++next_id;
            uint8_t payload[512] = {2, 0, 0, 0, 0};
            struct hello hello;
            size_t size;

            put_packet(&pieces[2], (struct shape) {.version = V1, .id_begin = servers, .origin = first, .source = source}, payload, 5, PAYLOAD);
            size = put_piece(payload, order == 0 ? 0 : 100, order == 0 ? 100 : EXAMPLE_HELLO);
            put_packet(&pieces[0], (struct shape) {.version = V1, .id_begin = first, .source = source}, payload, size, PAYLOAD);
            size = put_piece(payload, order == 0 ? 100 : 0, order == 0 ? EXAMPLE_HELLO : 100);
            put_packet(&pieces[1], (struct shape) {.version = V1, .id_begin = servers, .id_length = 18, .origin = first, .source = source}, payload, size, PAYLOAD);
            check(read_datagram(&pieces[1], &hello) == HELLO_NONE, "of an unknown connection, it cannot be read");
            check(read_datagram(&pieces[0], &hello) == (order == 0 ? HELLO_CLIENT : HELLO_BEGUN), "the first piece, order %d", order);
            /* Another connection of this client's in between, with the same ID or none. */
            pieces[0].size = 0;
            put_packet(&pieces[0], (struct shape) {.version = V1, .id_begin = other, .source = source}, payload, size, PAYLOAD);
            (void)read_datagram(&pieces[0], &hello);
            check(read_datagram(&pieces[2], &hello) == HELLO_NONE, "an acknowledgement has none");
            check(read_datagram(&pieces[1], &hello) == HELLO_CLIENT && is_example(&hello), "the rest, to the server's ID, source %u, order %d", source, order);
            check(read_datagram(&pieces[1], &hello) == HELLO_CLIENT && is_example(&hello), "and that sent again");
        }
    }
}

/* Under the keys of the server's ID a packet is now and then frames too, of other bytes: once in about 170 times. Only its tag tells. */
static void test_tags(void)
{
    unsigned read = 0, total = 0;

    for (unsigned first = 1; first <= 40; first++) {
        for (unsigned servers = 1; servers <= 50; servers++, total++) {
            struct datagram pieces[2] = {{.size = 0}, {.size = 0}};
            uint8_t payload[512];
            struct hello hello;
            size_t size = put_piece(payload, 0, 100);

            put_packet(&pieces[0], (struct shape) {.version = V2, .id_begin = (uint8_t)first}, payload, size, PAYLOAD);
            (void)read_datagram(&pieces[0], &hello);
            size = put_piece(payload, 100, EXAMPLE_HELLO);
            put_packet(&pieces[1], (struct shape) {.version = V2, .id_begin = (uint8_t)servers, .id_length = 18, .origin = (uint8_t)first}, payload, size, PAYLOAD);
            read += read_datagram(&pieces[1], &hello) == HELLO_CLIENT && is_example(&hello);
        }
    }
    check(read == total, "%u of %u to the server's ID are read", read, total);
}

/* Other bytes for the same place, in one datagram or in two: of a server it is not known which it takes. In another version it is another connection. */
static void test_mixed(void)
{
    for (int together = 0; together < 2; together++) {
        struct shape shape = {.version = V1, .id_begin = ++next_id};
        struct datagram datagram = {.size = 0};
        uint8_t payload[1024];
        struct hello hello;
        size_t size = put_piece(payload, 0, EXAMPLE_HELLO);

        if (!together) {
            put_packet(&datagram, shape, payload, size, PAYLOAD);
            check(read_datagram(&datagram, &hello) == HELLO_CLIENT && is_example(&hello), "the first of two");
            datagram.size = size = 0;
        }
        size += put_piece(payload + size, 50, EXAMPLE_HELLO);
        payload[size - 100] ^= 1;
        put_packet(&datagram, shape, payload, size, PAYLOAD);
        check(read_datagram(&datagram, &hello) == HELLO_CLIENT && hello.whole && hello.covered && hello.sni_length == 1, "with other bytes it is nobody's, together %d", together);
        shape.version = V2;
        datagram.size = 0;
        put_packet(&datagram, shape, frame, sizeof(frame), PAYLOAD);
        check(read_datagram(&datagram, &hello) == HELLO_CLIENT && is_example(&hello), "in the other version it is the example");
    }
}

/* Packets of 0-RTT and of the handshake before the Initial one. */
static void test_types(void)
{
    static const struct {
        uint32_t version;
        uint8_t first;
    } rows[] = {{V1, 0xd0}, {V1, 0xe0}, {V1, 0x90}, {V2, 0xe0}, {V2, 0xf0}};

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct shape shape = {.version = rows[i].version, .id_begin = ++next_id};
        struct datagram initial = {.size = 0}, datagram = {.size = 0};
        struct hello hello;

        put_packet(&initial, shape, frame, sizeof(frame), PAYLOAD);
        /* Up to the end of the IDs they have the same header. */
        memcpy(datagram.bytes, initial.bytes, 15);
        datagram.bytes[0] = rows[i].first;
        datagram.bytes[15] = 0x40;
        datagram.bytes[16] = 100;
        memset(datagram.bytes + 17, 0x5a, 100);
        memcpy(datagram.bytes + 117, initial.bytes, initial.size);
        datagram.size = 117 + initial.size;
        check(quic_may_begin(rows[i].first) && read_datagram(&datagram, &hello) == HELLO_CLIENT && is_example(&hello), "behind a packet %x of version %x", rows[i].first, rows[i].version);
    }
}

/* A server ignores what is in a datagram for another connection than its first packet's. */
static void test_other_ids(void)
{
    struct datagram datagram = {.size = 0};
    struct hello hello;
    uint8_t ping[4] = {1};

    put_packet(&datagram, (struct shape) {.version = V1, .id_begin = 253}, ping, sizeof(ping), 200);
    put_packet(&datagram, (struct shape) {.version = V1, .id_begin = 254}, frame, sizeof(frame), PAYLOAD);
    check(read_datagram(&datagram, &hello) == HELLO_NONE, "a packet of another connection in the datagram");
}

static void test_aes(void)
{
    uint8_t key[AES_BLOCK], block[AES_BLOCK], want[AES_BLOCK];
    struct aes aes;

    from_hex("000102030405060708090a0b0c0d0e0f", key);
    from_hex("00112233445566778899aabbccddeeff", block);
    from_hex("69c4e0d86a7b0430d8cdb78070b4c55a", want);
    aes_expand(&aes, key);
    aes_encrypt(&aes, block);
    check(memcmp(block, want, sizeof(want)) == 0, "FIPS 197, appendix C.1");
}

int main(void)
{
    from_hex(example, frame);
    test_aes();
    test_examples();
    test_headers();
    test_pieces();
    test_datagrams();
    test_others();
    test_long();
    test_servers_id();
    test_tags();
    test_mixed();
    test_types();
    test_other_ids();
    test_forgotten();
    return unit_end("quic");
}
