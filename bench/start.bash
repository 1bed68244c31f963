# Whole processes, from posix_spawn to wait: with no preloaded object, with an empty one, and with the shim.

# start_instructions NAME COMMAND...
start_instructions() {
    counted "${@:2}" </dev/null | row "start/$1/instructions" instructions 'without: an empty preloaded object' 1
}

# start_program NAME ROUNDS COMMAND...: the time and the instructions of a start
start_program() {
    local name=$1 rounds=$2
    shift 2
    turns time "$rounds" "$@" -- "LD_PRELOAD=$empty" "$@" -- "${shim[@]}" "$@" >"$work/starts"
    columns 2 3 <"$work/starts" | row "start/$name/time" ns 'without: an empty preloaded object' 1
    columns 1 2 <"$work/starts" | row "start/$name/time of an empty object" ns 'without: nothing; with: an empty preloaded object' 1
    start_instructions "$name" "$@"
}

# start_files NAME OBJECT COMMAND...: the file system calls of a start, except for the object itself
start_files() {
    local name=$1 object=$2
    shift 2
    strace -f -qq -e trace=%file -E "LD_PRELOAD=$object" -E "PINSHIM_PINS=$LAB/pins" -o "$work/strace" "$@" >/dev/null
    # The call and its first path; an empty one means a file that is already open.
    grep -o '[a-z0-9_]*([^"]*"[^"]\+"' "$work/strace" | grep -vF -e "$object" -e 'execve(' >"$name" || true
}

# start_allocations OBJECT COMMAND...: the number of allocations of a start, as counted by valgrind
start_allocations() {
    local object=$1
    shift
    LD_PRELOAD=$object PINSHIM_PINS=$LAB/pins valgrind "$@" 2>&1 >/dev/null |
        sed -n 's/.*total heap usage: \([0-9,]*\) allocs.*/\1/p' | tr -d ,
}

# start_reads NAME COMMAND...: the file system calls and allocations of a start. A program that creates no SSL_CTX and no
# session of GnuTLS may have no more of either with the shim.
start_reads() {
    local name=$1 without with
    shift
    start_files "$work/files-without" "$empty" "$@"
    start_files "$work/files-with" "$object" "$@"
    diff "$work/files-without" "$work/files-with" >&2 || { say "the shim makes $name read files"; return 1; }
    echo "$(wc -l <"$work/files-without") $(wc -l <"$work/files-with")" | row "start/$name/file system calls" calls 'not counting those for the library'
    # Seldom a program allocates once more by itself.
    for _ in 1 2 3; do
        without=$(start_allocations "$empty" "$@")
        with=$(start_allocations "$object" "$@")
        [ "$without" -ne "$with" ] || break
    done
    echo "$without $with" | row "start/$name/allocations" calls
    [ "$without" -eq "$with" ] || { say "the shim makes $name allocate"; return 1; }
}

bench_start() {
    local url=https://localhost:$good/
    with_pins "$LAB/pins"
    start_program true "$(scaled 1000)" /bin/true
    start_program curl "$(scaled 300)" curl --version
    start_program python3 "$(scaled 300)" /usr/bin/python3 -S -c pass
    start_program 'curl to a server' "$(scaled 200)" "${curl[@]}" "$url"
    start_instructions gnutls-cli gnutls-cli --version
    start_instructions 'gnutls-cli to a server' gnutls-cli --x509cafile "$LAB/trusted.pem" -p "$good" localhost
    start_instructions 'Node.js with OpenSSL within' build/runtimes/node_modules/node-linux-*/bin/node --version
    start_reads true /bin/true
    start_reads curl curl --version
    start_reads python3 /usr/bin/python3 -S -c pass
    start_reads gnutls-cli gnutls-cli --version
    strace -f -qq -e trace=openat -E "LD_PRELOAD=$object" -E "PINSHIM_PINS=$LAB/pins" -o "$work/strace" "${curl[@]}" "$url" >/dev/null
    echo "0 $(grep -cF "\"$LAB/pins\"" "$work/strace")" | row 'start/curl to a server/reads of the pins file' calls
}
