# Records and calls on a connection in memory, and one large answer from a server over TCP.

# data_call NAME COUNT CALLS ARGUMENT...: runs "tls" with those arguments; CALLS: interposed calls for each of what it measures
data_call() {
    local name=$1 count=$2 calls=$3 command=("$programs/tls" "$LAB/good.pem" "$LAB/good.key" tls1.3 "$4")
    shift 4
    turns value 25 "${command[@]}" "$(scaled "$count")" "$@" -- "${shim[@]}" "${command[@]}" "$(scaled "$count")" "$@" |
        row "data/$name/time" ns '' "$calls"
    count=$(scaled 5000)
    each "data/$name" "$count" "$calls" "${command[@]}" "$count" "$@"
}

# write_call FUNCTION: what a call costs that sends, and whose data is of no interest
write_call() {
    local count
    count=$(scaled 5000)
    each "data/$1" "$count" 1 "$programs/writes" "$1" "$count"
}

bench_data() {
    local command=("$programs/client" tls "$good" "$LAB/trusted.pem" bulk "$(scaled 8)")
    with_pins "$LAB/pins"
    data_call 'SSL_read without data' 1000000 1 nothing
    data_call 'SSL_read without data on two connections in turn' 1000000 1 in-turn
    data_call 'record of 1 byte' 100000 2 record 1
    data_call 'record of 16 kB' 10000 2 record 16384
    local function
    for function in write send sendto writev pwritev2 sendmsg sendmmsg syscall; do
        write_call "$function"
    done
    turns value 15 "${command[@]}" -- "${shim[@]}" "${command[@]}" | row 'data/bulk transfer/throughput' MB/s
}
