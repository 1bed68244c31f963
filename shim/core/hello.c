#include "hello.h"

#include <string.h>

#define RECORD_HANDSHAKE 22
#define TDS_PRELOGIN 18
#define CLIENT_HELLO 1
#define EXTENSION_SERVER_NAME 0
#define EXTENSION_ENCRYPTED_HELLO 0xfe0d /* RFC 9849, section 5 */
#define LONGEST_HELLO (1 << 17)

#define END (-1) /* there are no more bytes, or none of the message */

struct source {
    const struct iovec *part;
    size_t parts; /* `part` included */
    size_t at; /* within `part` */
    size_t record; /* bytes of the handshake message that are left in this record */
    bool datagram;
    bool ended; /* more bytes were wanted than there are */
};

static int take_raw(struct source *from)
{
    while (from->parts > 0 && from->at >= from->part->iov_len) {
        from->part++;
        from->parts--;
        from->at = 0;
    }
    if (from->parts > 0)
        return ((const uint8_t *)from->part->iov_base)[from->at++];
    from->ended = true;
    return END;
}

static int number_raw(struct source *from, int bytes)
{
    int number = 0;

    for (int next; bytes > 0; bytes--) {
        if ((next = take_raw(from)) == END)
            return END;
        number = number << 8 | next;
    }
    return number;
}

/* The message goes on in the next record, of the same kind. */
static bool enter_record(struct source *from)
{
    while (from->record == 0) {
        int length;

        if (from->datagram || take_raw(from) != RECORD_HANDSHAKE || number_raw(from, 2) == END || (length = number_raw(from, 2)) == END)
            return false;
        from->record = (size_t)length;
    }
    return true;
}

static int take(struct source *from)
{
    if (!enter_record(from))
        return END;
    from->record--;
    return take_raw(from);
}

static int number(struct source *from, int bytes)
{
    int value = 0;

    for (int next; bytes > 0; bytes--) {
        if ((next = take(from)) == END)
            return END;
        value = value << 8 | next;
    }
    return value;
}

static bool skip(struct source *from, size_t bytes)
{
    while (bytes > 0) {
        size_t some;

        /* One byte, to be in a part and in a record that have some. */
        if (take(from) == END)
            return false;
        bytes--;
        some = from->part->iov_len - from->at;
        if (some > from->record)
            some = from->record;
        if (some > bytes)
            some = bytes;
        from->at += some;
        from->record -= some;
        bytes -= some;
    }
    return true;
}

/* A list with its length before it. Return false if its end is not there, or it ends after the message. */
static bool skip_list(struct source *from, int bytes, size_t *left)
{
    int length = number(from, bytes);

    if (length == END || (size_t)bytes + (size_t)length > *left || !skip(from, (size_t)length))
        return false;
    *left -= (size_t)bytes + (size_t)length;
    return true;
}

/* The first name of the list (RFC 6066, section 3). */
static bool read_sni(struct source *from, size_t length, struct hello *out)
{
    int name;

    if (length < 5)
        return skip(from, length);
    if (number(from, 2) == END || take(from) != 0 || (name = number(from, 2)) == END || (size_t)name > length - 5)
        return false;
    for (size_t i = 0; i < (size_t)name; i++) {
        int next = take(from);

        if (next == END)
            return false;
        if (i < sizeof(out->sni))
            out->sni[i] = (char)next;
    }
    out->sni_length = (size_t)name < sizeof(out->sni) ? (size_t)name : sizeof(out->sni);
    return skip(from, length - 5 - (size_t)name);
}

/* The extensions, which end with the message. */
static void read_extensions(struct source *from, size_t left, struct hello *out)
{
    if (left < 2 || number(from, 2) == END)
        return;
    for (left -= 2; left >= 4;) {
        int type = number(from, 2);
        int length = number(from, 2);

        if (type == END || length == END || (size_t)length > left - 4)
            return;
        left -= 4 + (size_t)length;
        out->covered |= type == EXTENSION_ENCRYPTED_HELLO;
        if (type == EXTENSION_SERVER_NAME && out->sni_length == 0 ? !read_sni(from, (size_t)length, out) : !skip(from, (size_t)length)) {
            if (type == EXTENSION_SERVER_NAME)
                out->sni_length = 0;
            return;
        }
    }
}

/* The header of a TDS packet: type, status, length, process, number, window. */
static enum hello_kind skip_tds(struct source *from)
{
    int status = take_raw(from);
    int length = number_raw(from, 2);

    if (status > 1 || (length != END && length < 8))
        return HELLO_NONE;
    (void)number_raw(from, 2);
    return number_raw(from, 2) == END ? HELLO_BEGUN : HELLO_CLIENT;
}

/* Of TLS, or of DTLS; 1.0 is that of DTLS before RFC 4347 (OpenConnect). */
static bool is_version(bool datagram, int version, int minor)
{
    if (!datagram)
        return (version == END || version == 3) && (minor == END || minor <= 4);
    return version == 1 ? minor == END || minor == 0 : (version == END || version == 0xfe) && (minor == END || minor >= 0xfc);
}

/* The header of the record. An encrypted one has another epoch in DTLS; in TLS it looks the same. */
static enum hello_kind enter_first(struct source *from)
{
    int version = take_raw(from);
    int minor = take_raw(from);
    int length;

    if (version == END)
        return HELLO_BEGUN;
    from->datagram = version == 0xfe || version == 1;
    if (!is_version(from->datagram, version, minor))
        return HELLO_NONE;
    if (from->datagram && number_raw(from, 2) > 0)
        return HELLO_NONE;
    if (from->datagram) {
        (void)number_raw(from, 3);
        if (number_raw(from, 3) == END)
            return HELLO_BEGUN;
    }
    length = number_raw(from, 2);
    if (length == END)
        return HELLO_BEGUN;
    from->record = (size_t)length;
    return length == 0 ? HELLO_NONE : HELLO_CLIENT;
}

/* Its header, to the session's number: what an encrypted record will hardly have by chance. `left` becomes the length of what follows. */
static enum hello_kind enter_message(struct source *from, struct hello *out, size_t *left)
{
    int type = take(from);
    int length = number(from, 3);
    int offset = from->datagram && number(from, 2) != END ? number(from, 3) : 0;
    int fragment = from->datagram ? number(from, 3) : 0;
    int version = take(from);
    int minor = take(from);
    int session;

    *left = 0;
    if ((type != END && type != CLIENT_HELLO) || length > LONGEST_HELLO || (length != END && length < 2 + HELLO_RANDOM + 1) || offset > 0)
        return HELLO_NONE;
    /* Split before its random's end, as no library does it: it has no random that anybody knows. */
    if (from->datagram && fragment != END && fragment < 2 + HELLO_RANDOM + 1) {
        memset(out->random, 0, sizeof(out->random));
        return HELLO_CLIENT;
    }
    if (!is_version(from->datagram, version, minor))
        return HELLO_NONE;
    for (size_t i = 0; i < HELLO_RANDOM; i++) {
        int next = take(from);

        if (next == END)
            return HELLO_BEGUN;
        out->random[i] = (uint8_t)next;
    }
    session = take(from);
    if (session == END)
        return HELLO_BEGUN;
    *left = (size_t)length - (2 + HELLO_RANDOM + 1);
    if (session > 32 || (size_t)session > *left)
        return HELLO_NONE;
    *left -= (size_t)session;
    (void)skip(from, (size_t)session);
    return HELLO_CLIENT;
}

static size_t two(const uint8_t *bytes)
{
    return (size_t)bytes[0] << 8 | bytes[1];
}

/* Cipher specs of three bytes, a session ID, and a challenge, whose lengths make up the message's: protocols whose frames begin with such a byte (ONC RPC,
 * WebSocket) do not have that by chance. */
bool hello_is_old(const uint8_t *header, size_t size)
{
    size_t specs, session, challenge;

    if (!hello_may_be_old(header[0]) || (size > 2 && header[2] != CLIENT_HELLO) || (size > 3 && header[3] != 0 && header[3] != 3)
        || (size > 4 && (header[3] == 0 ? header[4] != 2 : header[4] > 4)))
        return false;
    if (size < HELLO_OLD_HEADER)
        return true;
    specs = two(header + 5);
    session = two(header + 7);
    challenge = two(header + 9);
    return specs > 0 && specs % 3 == 0 && (session == 0 || session == 16) && challenge >= 16 && challenge <= HELLO_RANDOM
        && (two(header) & 0x1ff) == HELLO_OLD_HEADER - 2 + specs + session + challenge;
}

/* Its challenge is the random, here repeated to that one's length. */
static enum hello_kind read_old(struct source *from, uint8_t first, struct hello *out)
{
    uint8_t header[HELLO_OLD_HEADER] = {first};
    size_t size = 1;
    size_t challenge;

    for (int next; size < sizeof(header) && (next = take_raw(from)) != END; size++)
        header[size] = (uint8_t)next;
    if (!hello_is_old(header, size))
        return HELLO_NONE;
    if (size < sizeof(header))
        return HELLO_BEGUN;
    for (size_t skipped = two(header + 5) + two(header + 7); skipped > 0; skipped--)
        (void)take_raw(from);
    challenge = two(header + 9);
    for (size_t i = 0; i < HELLO_RANDOM; i++) {
        int next = i < challenge ? take_raw(from) : out->random[i - challenge];

        if (next == END)
            return HELLO_BEGUN;
        out->random[i] = (uint8_t)next;
    }
    return HELLO_CLIENT;
}

static enum hello_kind read_from(struct source *from, struct hello *out)
{
    enum hello_kind kind = HELLO_CLIENT;
    int first = take_raw(from);
    size_t left;

    if (first != END && hello_may_be_old((uint8_t)first))
        return read_old(from, (uint8_t)first, out);
    if (first == TDS_PRELOGIN) {
        kind = skip_tds(from);
        if (kind == HELLO_CLIENT)
            first = take_raw(from);
    }
    if (kind == HELLO_CLIENT && first != RECORD_HANDSHAKE)
        kind = first == END ? HELLO_BEGUN : HELLO_NONE;
    if (kind == HELLO_CLIENT)
        kind = enter_first(from);
    if (kind == HELLO_CLIENT)
        kind = enter_message(from, out, &left);
    if (kind == HELLO_CLIENT && (!from->datagram || skip_list(from, 1, &left)) && skip_list(from, 2, &left) && skip_list(from, 1, &left))
        read_extensions(from, left, out);
    return kind;
}

enum hello_kind hello_read(const struct iovec *parts, size_t count, struct hello *out)
{
    struct source from = {.part = parts, .parts = count};
    enum hello_kind kind;

    out->covered = false;
    out->sni_length = out->early_sni = 0;
    kind = read_from(&from, out);
    out->datagram = from.datagram;
    out->whole = from.datagram || !from.ended;
    if (!out->whole) {
        out->early_sni = out->sni_length;
        out->sni_length = 0;
    }
    /* The record ends, or the next one is of another kind: more bytes will change nothing. */
    return kind == HELLO_BEGUN && !from.ended ? HELLO_NONE : kind;
}
