# A client and a server in one thread, over a pair of BIOs in memory: full and resumed handshakes.

# handshake_keys: makes the server's keys and certificates, $LAB/KEY.key and $LAB/KEY.pem, with pins for each, $LAB/pins-KEY
handshake_keys() {
    local key algorithm
    for key in P-256 RSA-2048; do
        algorithm=(ec -pkeyopt ec_paramgen_curve:P-256)
        [ "$key" = P-256 ] || algorithm=(rsa:2048)
        openssl req -x509 -newkey "${algorithm[@]}" -nodes -keyout "$LAB/$key.key" -out "$LAB/$key.pem" -days 30 -subj /CN=bench 2>>"$LAB/openssl.log"
        echo "www.pinned.example spki-sha256:$(lab_spki "$LAB/$key.pem")" >"$LAB/pins-$key"
    done
    settled
}

bench_handshake() {
    local key version way count command
    handshake_keys
    for key in P-256 RSA-2048; do
        with_pins "$LAB/pins-$key"
        for version in 1.3 1.2; do
            for way in full resumed; do
                case "$key $version $way" in
                RSA*full) count=150 ;;
                *1.2\ resumed) count=4000 ;;
                *) count=500 ;;
                esac
                command=("$programs/tls" "$LAB/$key.pem" "$LAB/$key.key" "tls$version" "$way")
                turns value 15 "${command[@]}" "$(scaled "$count")" -- "${shim[@]}" "${command[@]}" "$(scaled "$count")" |
                    row "handshake/$way/TLS $version/$key/time" ns
                count=$(scaled 100)
                each "handshake/$way/TLS $version/$key" "$count" 1 "${command[@]}" "$count"
            done
        done
    done
}
