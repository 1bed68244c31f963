# A client and a server in one thread, over a pair of BIOs in memory: full and resumed handshakes.

# handshake_key NAME: makes the server's key and certificate, $LAB/NAME.key and $LAB/NAME.pem
handshake_key() {
    local algorithm=(ec -pkeyopt ec_paramgen_curve:P-256)
    [ "$1" = P-256 ] || algorithm=(rsa:2048)
    openssl req -x509 -newkey "${algorithm[@]}" -nodes -keyout "$LAB/$1.key" -out "$LAB/$1.pem" -days 30 -subj /CN=bench 2>>"$LAB/openssl.log"
}

bench_handshake() {
    local key version way count command
    for key in P-256 RSA-2048; do
        handshake_key "$key"
        echo "www.pinned.example spki-sha256:$(lab_spki "$LAB/$key.pem")" >"$LAB/pins-$key"
    done
    settled
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
                # The mean of several: signatures take different times.
                count=$(scaled 100)
                counted "--toggle-collect=measured*" "${command[@]}" "$count" |
                    awk -v n="$count" '{ print $1 / n, $2 / n }' | row "handshake/$way/TLS $version/$key/instructions" instructions '' 1
            done
        done
    done
}
