# GnuTLS, by instructions alone: a client and a server in one thread, as for OpenSSL, and whole processes.

bench_gnutls() {
    local key version way count
    handshake_keys
    count=$(scaled 100)
    for key in P-256 RSA-2048; do
        with_pins "$LAB/pins-$key"
        for version in 1.3 1.2; do
            for way in full resumed; do
                each "gnutls/$way/TLS $version/$key" "$count" 1 "$programs/gnutls" "$LAB/$key.pem" "$LAB/$key.key" "tls$version" "$way" "$count"
            done
        done
    done
}
