/* ClientHellos: any bytes, in any pieces, are read without going beyond them, as packets of QUIC too; the pieces do not matter; and more bytes never make less of
 * them. */

#include "fuzz.h"
#include "quic.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct iovec whole = {(void *)(uintptr_t)data, size};
    struct iovec parts[4];
    struct hello hello;
    struct hello again;
    enum hello_kind kind = hello_read(&whole, 1, &hello);
    size_t some = size > 0 ? data[size - 1] % (size + 1) : 0;

    parts[0] = (struct iovec) {NULL, 0};
    parts[1] = (struct iovec) {whole.iov_base, some};
    parts[2] = (struct iovec) {NULL, 0};
    parts[3] = (struct iovec) {(uint8_t *)whole.iov_base + some, size - some};
    require(hello_read(parts, 4, &again) == kind);
    if (kind == HELLO_CLIENT) {
        require(hello.sni_length <= sizeof(hello.sni));
        require(hello.whole || !hello.datagram);
        require(memcmp(hello.random, again.random, sizeof(hello.random)) == 0 && hello.whole == again.whole && hello.sni_length == again.sni_length);
        require(memcmp(hello.sni, again.sni, hello.sni_length) == 0);
    }
    if (kind != HELLO_NONE)
        require(size == 0 || hello_may_begin(data[0]));
    if (quic_read(parts, 4, &again) == HELLO_CLIENT)
        require(again.sni_length <= sizeof(again.sni) && again.datagram);
    /* The beginning of it. */
    kind = hello_read(parts, 2, &again);
    if (kind == HELLO_CLIENT)
        require(hello_read(&whole, 1, &hello) == HELLO_CLIENT && memcmp(hello.random, again.random, sizeof(hello.random)) == 0);
    if (kind == HELLO_NONE)
        require(hello_read(&whole, 1, &hello) == HELLO_NONE);
    return 0;
}
