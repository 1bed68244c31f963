# Handshakes in several threads while the pins file does not change (quiet), or changes every 10 ms: to another existing file (swap, by a
# symbolic link), or to a new copy (rewrite), which the shim reads again and again.

bench_threads() {
    local way threads command
    for way in quiet swap rewrite; do
        cp "$LAB/pins" "$LAB/pins-$way.a"
        cp "$LAB/pins" "$LAB/pins-$way.b"
        ln -s "$LAB/pins-$way.a" "$LAB/pins-$way"
    done
    settled
    for threads in 1 2 4 8; do
        for way in quiet swap rewrite; do
            command=("$programs/threads" "$LAB/good.pem" "$LAB/good.key" "$threads" "$(scaled 250)" "$LAB/pins-$way" "$way")
            with_pins "$LAB/pins-$way"
            turns value 31 "${command[@]}" -- "${shim[@]}" "${command[@]}" | row "threads/$way/$threads" handshakes/s
        done
    done
}
