#include "quic.h"

#include "aes.h"
#include "digest.h"
#include "sha2.h"

#include <stdatomic.h>
#include <string.h>

#define SECRET 32
#define SALT 20
#define IV 12
#define TAG 16
#define ID_MOST 20

/* The lowest version of a range, and how many there are of it. */
static const struct version {
    uint32_t first, count;
    uint8_t initial; /* the type of these packets, in the first byte */
    char prefix[8]; /* of labels */
    uint8_t salt[SALT];
} versions[] = {
    {1, 1, 0x80, "quic ", {0x38, 0x76, 0x2c, 0xf7, 0xf5, 0x59, 0x34, 0xb3, 0x4d, 0x17, 0x9a, 0xe6, 0xa4, 0xc8, 0x0c, 0xad, 0xcc, 0xbb, 0x7f, 0x0a}},
    {0x6b3343cf, 1, 0x90, "quicv2 ", {0x0d, 0xed, 0xe3, 0xde, 0xf7, 0x00, 0xa6, 0xdb, 0x81, 0x93, 0x81, 0xbe, 0x6e, 0x26, 0x9d, 0xcb, 0xf9, 0xbd, 0x2e, 0xd9}},
    /* A draft of the second version. */
    {0x709a50c4, 1, 0x90, "quicv2 ", {0xa7, 0x07, 0xc2, 0x03, 0xa5, 0x9b, 0x47, 0x18, 0x4a, 0x1d, 0x62, 0xca, 0x57, 0x04, 0x06, 0xea, 0x7a, 0xe3, 0xe5, 0xd3}},
    /* Drafts 29 to 32 of the first version. */
    {0xff00001d, 4, 0x80, "quic ", {0xaf, 0xbf, 0xec, 0x28, 0x99, 0x93, 0xd2, 0x4c, 0x9e, 0x97, 0x86, 0xf1, 0x9c, 0x61, 0x11, 0xe0, 0x43, 0x90, 0xa8, 0x99}},
};

static const struct version *version_of(const uint8_t number[static 4])
{
    uint32_t version = (uint32_t)number[0] << 24 | (uint32_t)number[1] << 16 | (uint32_t)number[2] << 8 | number[3];

    for (size_t i = 0; i < sizeof(versions) / sizeof(versions[0]); i++) {
        if (version - versions[i].first < versions[i].count)
            return &versions[i];
    }
    return NULL;
}

bool quic_has_version(const uint8_t *bytes)
{
    return version_of(bytes + 1) != NULL;
}

/* What is sent, as one; reading beyond its end gives zeros. */
struct datagram {
    const struct iovec *parts;
    size_t count;
    size_t size;
};

static uint8_t byte_at(const struct datagram *from, size_t at)
{
    for (size_t i = 0; i < from->count; i++) {
        if (at < from->parts[i].iov_len)
            return ((const uint8_t *)from->parts[i].iov_base)[at];
        at -= from->parts[i].iov_len;
    }
    return 0;
}

static void copy_from(const struct datagram *from, size_t at, uint8_t *out, size_t size)
{
    for (size_t i = 0; i < size; i++)
        out[i] = byte_at(from, at + i);
}

struct packet {
    const struct datagram *from;
    const struct version *version;
    bool is_initial;
    bool speaks; /* one of the packets has a CRYPTO frame */
    uint8_t id[ID_MOST]; /* the destination's connection ID */
    uint8_t id_length;
    uint64_t source; /* digests: of the client's own connection ID, and of that from which the keys follow */
    uint64_t origin;
    size_t begin;
    size_t number; /* where that of the packet is */
    size_t at; /* what is read next */
    size_t end;
    size_t left; /* bytes that are decrypted at most, of all packets */
    struct aes header, payload; /* of the first packet's ID: others are not of the same client */
    uint8_t iv[IV];
    uint8_t mask[1 + 4]; /* of the first byte and of the packet's number */
    uint8_t counter[AES_BLOCK]; /* of GCM (NIST SP 800-38D), for the next block */
    uint8_t stream[AES_BLOCK];
    unsigned used; /* bytes of the stream */
};

/* RFC 2104. Neither is longer than a block of the hash function. */
static void hmac(const uint8_t *key, size_t key_size, const void *data, size_t size, uint8_t out[static SECRET])
{
    uint8_t inner[128] = {0};
    uint8_t outer[64 + SECRET] = {0};

    memcpy(inner, key, key_size);
    memcpy(outer, key, key_size);
    for (int i = 0; i < 64; i++) {
        inner[i] ^= 0x36;
        outer[i] ^= 0x5c;
    }
    memcpy(inner + 64, data, size);
    sha2(DIGEST_SHA256, inner, 64 + size, outer + 64);
    sha2(DIGEST_SHA256, outer, sizeof(outer), out);
}

/* HKDF-Expand-Label (RFC 8446, section 7.1) without a context. */
static void expand(const uint8_t secret[static SECRET], const char *prefix, const char *label, size_t size, uint8_t *out)
{
    char info[64] = {0, (char)size};
    struct text text = text_over(info + 3, sizeof(info) - 3);
    uint8_t bytes[SECRET];

    text_add_string(&text, "tls13 ");
    text_add_string(&text, prefix);
    text_add_string(&text, label);
    info[2] = (char)text.length;
    info[3 + text.length] = 0;
    info[4 + text.length] = 1;
    hmac(secret, SECRET, info, 5 + text.length, bytes);
    memcpy(out, bytes, size);
}

static void derive_keys(struct packet *packet, const uint8_t *id, uint8_t id_length)
{
    uint8_t secret[SECRET];
    uint8_t key[AES_BLOCK];

    packet->origin = digest_short(id, id_length) ^ packet->version->first; /* a client to which the server has named other versions may keep its ID */
    hmac(packet->version->salt, SALT, id, id_length, secret);
    expand(secret, "", "client in", SECRET, secret);
    expand(secret, packet->version->prefix, "hp", sizeof(key), key);
    aes_expand(&packet->header, key);
    expand(secret, packet->version->prefix, "key", sizeof(key), key);
    aes_expand(&packet->payload, key);
    expand(secret, packet->version->prefix, "iv", IV, packet->iv);
}

/* Take the protection off the header (RFC 9001, section 5.4), and be at the payload. */
static bool unprotect(struct packet *packet)
{
    uint8_t mask[AES_BLOCK];
    unsigned length;

    if (packet->end - packet->at < 4 + AES_BLOCK)
        return false;
    copy_from(packet->from, packet->at + 4, mask, sizeof(mask));
    aes_encrypt(&packet->header, mask);
    memset(packet->counter, 0, sizeof(packet->counter));
    memcpy(packet->counter, packet->iv, IV);
    packet->counter[AES_BLOCK - 1] = 1; /* the first is the tag's */
    length = ((byte_at(packet->from, packet->begin) ^ mask[0]) & 3) + 1U;
    for (unsigned i = 0; i < length; i++)
        packet->counter[IV - length + i] ^= byte_at(packet->from, packet->at + i) ^ mask[1 + i];
    mask[0] &= 0x0f;
    memcpy(packet->mask, mask, sizeof(packet->mask));
    packet->at += length;
    packet->end -= TAG;
    if (packet->at < packet->end && packet->end - packet->at > packet->left)
        packet->end = packet->at + packet->left;
    if (packet->at < packet->end)
        packet->left -= packet->end - packet->at;
    packet->used = AES_BLOCK;
    return packet->at < packet->end;
}

static uint8_t take(struct packet *packet)
{
    if (packet->at >= packet->end)
        return 0;
    if (packet->used == AES_BLOCK) {
        packet->used = 0;
        for (int i = AES_BLOCK - 1; i >= IV && ++packet->counter[i] == 0; i--)
            ;
        memcpy(packet->stream, packet->counter, AES_BLOCK);
        aes_encrypt(&packet->payload, packet->stream);
    }
    return byte_at(packet->from, packet->at++) ^ packet->stream[packet->used++];
}

/* RFC 9000, section 16. */
static uint64_t take_number(struct packet *packet)
{
    uint64_t number = take(packet);
    unsigned more = (1U << (number >> 6)) - 1;

    number &= 0x3f;
    while (more-- > 0)
        number = number << 8 | take(packet);
    return number;
}

/* The same in a header. */
static uint64_t read_number(const struct datagram *from, size_t *at)
{
    uint64_t number = byte_at(from, (*at)++);
    unsigned more = (1U << (number >> 6)) - 1;

    number &= 0x3f;
    while (more-- > 0)
        number = number << 8 | byte_at(from, (*at)++);
    return number;
}

/* Read the header of the packet at `*at`, and be behind the packet. Return false if none is there; or one of another connection than the first, which a
 * server would ignore (RFC 9000, section 12.2). */
static bool enter_packet(const struct datagram *from, size_t *at, bool is_first, struct packet *out)
{
    uint8_t id[ID_MOST] = {0};
    uint8_t start[6];
    uint64_t length;

    /* What fills the datagram up. */
    while (*at < from->size && byte_at(from, *at) == 0)
        (*at)++;
    if (from->size - *at < sizeof(start))
        return false;
    copy_from(from, *at, start, sizeof(start));
    out->from = from;
    out->version = version_of(start + 1);
    out->begin = *at;
    if ((start[0] & 0x80) == 0 || out->version == NULL || start[5] > ID_MOST)
        return false;
    *at += sizeof(start);
    copy_from(from, *at, id, start[5]);
    if (is_first) {
        out->id_length = start[5];
        memcpy(out->id, id, sizeof(id));
    } else if (out->id_length != start[5] || memcmp(out->id, id, start[5]) != 0) {
        return false;
    }
    *at += start[5];
    length = byte_at(from, (*at)++);
    if (length > ID_MOST)
        return false;
    copy_from(from, *at, id, length);
    out->source = digest_short(id, length);
    *at += length;
    out->is_initial = (start[0] & 0xb0) == out->version->initial;
    if (out->is_initial) {
        length = read_number(from, at);
        if (*at > from->size || length > from->size - *at)
            return false;
        *at += (size_t)length;
    }
    length = read_number(from, at);
    out->number = out->at = *at;
    if (*at > from->size || length > from->size - *at)
        return false;
    *at += (size_t)length;
    out->end = *at;
    return true;
}

#define LONGEST 8192 /* bytes of a ClientHello that are kept */
#define RECORD_HEADER 5
#define GATHERED 256

/* ClientHellos of late, by the connection IDs that their clients have made up. They stay after they were read: a part of one may be sent again. */
static struct gathered {
    uint8_t known[LONGEST / 8]; /* bytes, a bit for each */
    uint8_t bytes[RECORD_HEADER + LONGEST];
} gathered[GATHERED];

static struct {
    _Atomic uint64_t id; /* its digest; 0: none */
    _Atomic uint64_t source; /* that of the client's own */
    _Atomic bool busy;
    bool whole;
    bool mixed; /* some place had other bytes before: which of them the server takes is not known */
    uint8_t id_length;
    uint8_t id_bytes[ID_MOST];
} slots[GATHERED];

static _Atomic unsigned turn;

/* A ClientHello was forgotten before it was whole: of the parts of others it may be that their beginnings are forgotten. */
static _Atomic bool lost;

/* Return what there is of the connection's, to be given back. NULL: others are busy with all. */
static struct gathered *borrow(const struct packet *packet)
{
    uint64_t id = packet->origin;

    for (unsigned i = 0; i < GATHERED; i++) {
        if (atomic_load_explicit(&slots[i].id, memory_order_relaxed) != id || atomic_exchange(&slots[i].busy, true))
            continue;
        /* It may have become another's meanwhile. */
        if (atomic_load_explicit(&slots[i].id, memory_order_relaxed) == id)
            return &gathered[i];
        atomic_store(&slots[i].busy, false);
    }
    for (unsigned i = 0; i < GATHERED; i++) {
        unsigned at = atomic_fetch_add(&turn, 1) % GATHERED;

        if (atomic_exchange(&slots[at].busy, true))
            continue;
        if (atomic_exchange_explicit(&slots[at].id, id, memory_order_relaxed) != 0 && !slots[at].whole)
            atomic_store(&lost, true);
        slots[at].whole = slots[at].mixed = false;
        slots[at].id_length = packet->id_length;
        memcpy(slots[at].id_bytes, packet->id, ID_MOST);
        atomic_store(&slots[at].source, packet->source);
        memset(gathered[at].known, 0, sizeof(gathered[at].known));
        return &gathered[at];
    }
    return NULL;
}

/* Take the bytes of a CRYPTO frame (RFC 9000, section 19.6). `into` may be NULL. */
static bool take_crypto(struct packet *packet, struct gathered **into)
{
    uint64_t offset = take_number(packet);
    uint64_t length = take_number(packet);

    if (length > packet->end - packet->at || offset > 1U << 20)
        return false;
    if (into == NULL) {
        while (length-- > 0)
            (void)take(packet);
        return true;
    }
    packet->speaks = true;
    if (*into == NULL && (*into = borrow(packet)) == NULL)
        return false;
    for (uint64_t end = offset + length; offset < end; offset++) {
        uint8_t byte = take(packet);

        if (offset < LONGEST) {
            if (((*into)->known[offset / 8] & 1U << offset % 8) != 0 && (*into)->bytes[RECORD_HEADER + offset] != byte)
                slots[*into - gathered].mixed = true;
            (*into)->bytes[RECORD_HEADER + offset] = byte;
            (*into)->known[offset / 8] |= (uint8_t)(1U << offset % 8);
        }
    }
    return true;
}

/* RFC 9000, section 19.3. */
static void skip_acknowledgement(struct packet *packet, bool counts)
{
    uint64_t ranges;

    (void)take_number(packet);
    (void)take_number(packet);
    ranges = take_number(packet);
    (void)take_number(packet);
    for (; ranges > 0 && packet->at < packet->end; ranges--) {
        (void)take_number(packet);
        (void)take_number(packet);
    }
    for (int i = 0; counts && i < 3; i++)
        (void)take_number(packet);
}

/* A packet of another's keys, as a server's is, soon comes to what is no frame that an Initial packet may have. */
static bool gather_frames(struct packet *packet, struct gathered **into)
{
    bool frames = true;

    while (frames && packet->at < packet->end) {
        uint8_t type = take(packet);

        if (type == 6)
            frames = take_crypto(packet, into);
        else if (type == 2 || type == 3)
            skip_acknowledgement(packet, type == 3);
        else
            frames = type <= 1; /* PADDING, PING */
    }
    return frames;
}

/* GHASH (NIST SP 800-38D, section 6.4). The highest bit of a number is the coefficient of x^0. */
struct ghash {
    uint64_t key[2];
    uint64_t sum[2];
    unsigned used; /* bytes of a block */
};

static void end_block(struct ghash *hash)
{
    uint64_t factor[2] = {hash->key[0], hash->key[1]};
    uint64_t product[2] = {0, 0};

    for (unsigned i = 0; i < 128; i++) {
        uint64_t chosen = -(hash->sum[i / 64] >> (63 - i % 64) & 1);
        uint64_t carry = -(factor[1] & 1);

        product[0] ^= factor[0] & chosen;
        product[1] ^= factor[1] & chosen;
        factor[1] = factor[1] >> 1 | factor[0] << 63;
        factor[0] = factor[0] >> 1 ^ (carry & UINT64_C(0xe1) << 56);
    }
    memcpy(hash->sum, product, sizeof(product));
    hash->used = 0;
}

static void hash_byte(struct ghash *hash, uint8_t byte)
{
    hash->sum[hash->used / 8] ^= (uint64_t)byte << (56 - 8 * (hash->used % 8));
    if (++hash->used == AES_BLOCK)
        end_block(hash);
}

/* Whether the tag holds of a packet that is unprotected, whose payload begins at `text`. */
static bool is_authentic(const struct packet *packet, size_t text)
{
    uint8_t block[AES_BLOCK] = {0};
    struct ghash hash = {.used = 0};
    bool same = true;

    aes_encrypt(&packet->payload, block);
    for (int i = 0; i < AES_BLOCK; i++)
        hash.key[i / 8] = hash.key[i / 8] << 8 | block[i];
    for (size_t at = packet->begin; at < text; at++)
        hash_byte(&hash, byte_at(packet->from, at) ^ (at == packet->begin ? packet->mask[0] : at >= packet->number ? packet->mask[1 + at - packet->number] : 0));
    if (hash.used != 0)
        end_block(&hash);
    for (size_t at = text; at < packet->end; at++)
        hash_byte(&hash, byte_at(packet->from, at));
    if (hash.used != 0)
        end_block(&hash);
    hash.sum[0] ^= (uint64_t)(text - packet->begin) * 8;
    hash.sum[1] ^= (uint64_t)(packet->end - text) * 8;
    end_block(&hash);
    memset(block, 0, sizeof(block));
    memcpy(block, packet->counter, IV);
    block[AES_BLOCK - 1] = 1;
    aes_encrypt(&packet->payload, block);
    for (int i = 0; i < TAG; i++)
        same &= (byte_at(packet->from, packet->end + (size_t)i) ^ block[i]) == (uint8_t)(hash.sum[i / 8] >> (56 - 8 * (i % 8)));
    return same;
}

/* The frames are looked at first: that takes less, and under other keys they are soon none, but not always. */
static bool can_read(const struct packet *packet)
{
    struct packet copy = *packet;
    size_t text;

    if (!unprotect(&copy))
        return false;
    text = copy.at;
    return gather_frames(&copy, NULL) && is_authentic(&copy, text);
}

/* The keys stay those of the first ID that the client has made up when the server has told its own (RFC 9001, section 5.2), which may be one that another
 * client has made up. */
static void find_keys(struct packet *packet)
{
    unsigned same = 0;

    derive_keys(packet, packet->id, packet->id_length);
    for (unsigned i = 0; i < GATHERED; i++)
        same += atomic_load_explicit(&slots[i].source, memory_order_relaxed) == packet->source;
    if (same == 0 || can_read(packet))
        return;
    for (unsigned i = 1; i <= GATHERED; i++) {
        unsigned at = (atomic_load_explicit(&turn, memory_order_relaxed) - i) % GATHERED;
        uint8_t id[ID_MOST];

        if (atomic_load_explicit(&slots[at].source, memory_order_relaxed) != packet->source)
            continue;
        memcpy(id, slots[at].id_bytes, ID_MOST);
        derive_keys(packet, id, slots[at].id_length);
        /* It may become another's meanwhile. */
        if (packet->origin == atomic_load_explicit(&slots[at].id, memory_order_relaxed) && can_read(packet))
            return;
    }
    derive_keys(packet, packet->id, packet->id_length);
}

/* It cannot be put together. By its ID it is logged once. */
static enum hello_kind is_nobodys(uint64_t id, struct hello *out)
{
    memset(out, 0, sizeof(*out));
    memcpy(out->random + 8, &id, sizeof(id));
    out->whole = out->datagram = true;
    hello_cover(out);
    return HELLO_CLIENT;
}

static enum hello_kind read_gathered(struct gathered *from, uint64_t id, struct hello *out)
{
    struct iovec record = {from->bytes, RECORD_HEADER};
    size_t size = 0;
    enum hello_kind kind;

    while (size < LONGEST && (from->known[size / 8] & 1U << size % 8) != 0)
        size++;
    if (size == 0)
        return atomic_load(&lost) ? is_nobodys(id, out) : HELLO_BEGUN;
    memcpy(from->bytes, (uint8_t[RECORD_HEADER]) {22, 3, 1, (uint8_t)(size >> 8), (uint8_t)size}, RECORD_HEADER);
    record.iov_len += size;
    kind = hello_read(&record, 1, out);
    out->datagram = true;
    if (kind == HELLO_CLIENT && slots[from - gathered].mixed)
        return is_nobodys(id, out);
    if (kind == HELLO_CLIENT && !out->whole && size == LONGEST) {
        out->whole = true;
        if (out->sni_length == 0)
            hello_cover(out);
    }
    return kind;
}

/* Of one call: no ClientHello that is kept takes more. */
#define MOST_PACKETS 16
#define MOST_BYTES 16384

enum hello_kind quic_read(const struct iovec *parts, size_t count, struct hello *out)
{
    struct datagram from = {parts, count, 0};
    struct gathered *into = NULL;
    struct packet packet;
    bool has_keys = false;
    enum hello_kind kind;
    size_t at = 0;

    for (size_t i = 0; i < count; i++)
        from.size += parts[i].iov_len;
    packet.left = MOST_BYTES;
    packet.speaks = false;
    for (int i = 0; i < MOST_PACKETS && enter_packet(&from, &at, i == 0, &packet); i++) {
        if (!packet.is_initial)
            continue;
        if (!has_keys)
            find_keys(&packet);
        has_keys = true;
        if (unprotect(&packet))
            (void)gather_frames(&packet, &into);
    }
    /* All are in use at this moment. */
    if (into == NULL)
        return packet.speaks ? is_nobodys(packet.origin, out) : HELLO_NONE;
    kind = read_gathered(into, packet.origin, out);
    slots[into - gathered].whole |= kind == HELLO_CLIENT && out->whole;
    atomic_store(&slots[into - gathered].busy, false);
    return kind;
}
