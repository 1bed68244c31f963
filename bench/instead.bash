# Alternatives to the shim: curl's own --pinnedpubkey, and proxies (sidecars) that pin the server for a client without TLS.
# "without" is always the client that connects to the server directly, over TLS, verifies the CA, and pins nothing.

# instead_sidecar SERVER stunnel|haproxy [tcp|http]: one that connects to the server and accepts only the pinned certificate; its port goes
# into $PORT, its process into $SIDECAR
instead_sidecar() {
    PORT=$(lab_free_port)
    if [ "$2" = stunnel ]; then
        printf '%s\n' 'foreground = yes' 'pid =' 'debug = 3' '[pinned]' 'client = yes' "accept = 127.0.0.1:$PORT" \
            "connect = 127.0.0.1:$1" "CAfile = $LAB/good.pem" 'verifyPeer = yes' 'sni = localhost' >"$LAB/sidecar-$PORT"
        stunnel4 "$LAB/sidecar-$PORT" >"$LAB/sidecar-$PORT.log" 2>&1 &
    else
        printf '%s\n' global 'maxconn 1000' defaults "mode $3" 'timeout connect 30s' 'timeout client 30s' 'timeout server 30s' \
            'listen pinned' "bind 127.0.0.1:$PORT" "server pinned 127.0.0.1:$1 ssl verify required ca-file $LAB/good.pem sni str(localhost)" \
            >"$LAB/sidecar-$PORT"
        haproxy -db -f "$LAB/sidecar-$PORT" >"$LAB/sidecar-$PORT.log" 2>&1 &
    fi
    SIDECAR=$!
    echo "$SIDECAR" >>"$LAB/pids"
    lab_wait lab_listens "$PORT"
}

# instead_says hello|nothing COMMAND...: checks what is received from the server
instead_says() {
    local said
    said=$("${@:2}" 2>"$work/said") || said=nothing
    [ "$said" = "$1" ] || { say "$said was received, not $1: ${*:2}"; return 1; }
}

# instead_all_pin: checks each of them with the good server and with the impostor, which the client would trust
instead_all_pin() {
    local server expected sidecar
    for server in "$good" "$impostor"; do
        expected=$([ "$server" = "$good" ] && echo hello || echo nothing)
        instead_says hello "${curl[@]}" "https://localhost:$server/"
        instead_says "$expected" env "${shim[@]}" "${curl[@]}" "https://localhost:$server/"
        instead_says "$expected" "${curl[@]}" --pinnedpubkey "sha256//$(lab_spki "$LAB/good.pem")" "https://localhost:$server/"
        for sidecar in stunnel 'haproxy tcp' 'haproxy http'; do
            # shellcheck disable=SC2086
            instead_sidecar "$server" $sidecar
            instead_says "$expected" "${curl[@]}" -f "http://localhost:$PORT/"
            kill "$SIDECAR"
        done
    done
}

# instead_client NAME UNIT ROUNDS MEASUREMENT COUNT [THREADS]: measures bench/client alone, with the shim, and through each sidecar
instead_client() {
    local name=$1 unit=$2 rounds=$3 way=$4 server=$good k=1 sidecar
    shift 3
    [ "$way" != resumed ] || server=$resuming
    local client=("$programs/client" tls "$server" "$LAB/trusted.pem" "$@") columns=()
    for sidecar in ${sidecar_ports[$server]}; do
        columns+=(-- "$programs/client" tcp "$sidecar" - "$@")
    done
    turns value "$rounds" "${client[@]}" -- "${shim[@]}" "${client[@]}" "${columns[@]}" >"$work/instead"
    for sidecar in shim stunnel haproxy 'haproxy with mode http'; do
        k=$((k + 1))
        columns 1 "$k" <"$work/instead" | row "instead/$name/$sidecar" "$unit"
    done
}

# instead_resident PID: the resident memory of a process in kilobytes
instead_resident() { awk '/^VmRSS/ { print $2 }' "/proc/$1/status"; }

# instead_memory: the client and the sidecar together
instead_memory() {
    local client=(connections 1) name
    turns memory 5 "$programs/client" tls "$good" "$LAB/trusted.pem" "${client[@]}" -- \
        "${shim[@]}" "$programs/client" tls "$good" "$LAB/trusted.pem" "${client[@]}" -- \
        "$programs/client" tcp "${sidecar_ports[$good]%% *}" - "${client[@]}" >"$work/memory"
    columns 1 2 <"$work/memory" | row instead/memory/shim kB
    for name in stunnel haproxy; do
        awk -v more="$(instead_resident "${sidecars[$name]}")" '{ print $1, $3 + more }' "$work/memory" |
            row "instead/memory/$name" kB "with: client without TLS and $name"
    done
}

# instead_curl NAME UNIT ROUNDS COUNT ARGUMENT...: curl alone, with its own pin, and with the shim; COUNT units in each run
instead_curl() {
    local name=$1 unit=$2 rounds=$3 count=$4 command
    shift 4
    command=("${curl[@]}" --no-sessionid -o /dev/null "$@")
    turns time "$rounds" "${command[@]}" -- "${command[@]}" --pinnedpubkey "sha256//$(lab_spki "$LAB/good.pem")" -- \
        "${shim[@]}" "${command[@]}" | per_second "$count" >"$work/instead"
    columns 1 2 <"$work/instead" | row "instead/curl $name/--pinnedpubkey" "$unit"
    columns 1 3 <"$work/instead" | row "instead/curl $name/shim" "$unit"
}

bench_instead() {
    local -A sidecar_ports sidecars
    local server count
    with_pins "$LAB/pins"
    instead_all_pin
    for server in "$good" "$resuming"; do
        instead_sidecar "$server" stunnel
        sidecar_ports[$server]=$PORT
        [ "$server" != "$good" ] || sidecars[stunnel]=$SIDECAR
        instead_sidecar "$server" haproxy tcp
        sidecar_ports[$server]+=" $PORT"
        [ "$server" != "$good" ] || sidecars[haproxy]=$SIDECAR
        instead_sidecar "$server" haproxy http
        sidecar_ports[$server]+=" $PORT"
    done
    instead_client 'new connections' connections/s 9 connections "$(scaled 250)" 4
    instead_client 'new connections resumed' connections/s 9 resumed "$(scaled 400)" 4
    instead_client 'bulk throughput' MB/s 9 bulk "$(scaled 8)"
    instead_client latency us 9 latency "$(scaled 5000)"
    instead_memory
    count=$(scaled 300)
    instead_curl 'new connections' connections/s 9 "$count" -H 'Connection: close' "https://localhost:$good/?[1-$count]"
    instead_curl 'requests on one connection' requests/s 9 "$((count * 10))" "https://localhost:$good/?[1-$((count * 10))]"
    instead_curl 'bulk throughput' MB/s 9 "$(($(stat -c %s "$LAB/big") * 8 / 1000000))" "https://localhost:$good/big?[1-8]"
    turns memory 5 "${curl[@]}" -o /dev/null "https://localhost:$good/" -- \
        "${curl[@]}" -o /dev/null --pinnedpubkey "sha256//$(lab_spki "$LAB/good.pem")" "https://localhost:$good/" -- \
        "${shim[@]}" "${curl[@]}" -o /dev/null "https://localhost:$good/" >"$work/memory"
    columns 1 2 <"$work/memory" | row 'instead/curl memory/--pinnedpubkey' kB
    columns 1 3 <"$work/memory" | row 'instead/curl memory/shim' kB
}
