# Pins files with 10 to 1,000,000 rules, each a name and a pin.

bench_pins() {
    local count file rounds
    for count in 10 100 1000 10000 100000 1000000; do
        "$programs/pins" make "$count" >"$LAB/rules-$count"
        echo "localhost spki-sha256:$(lab_spki "$LAB/good.pem")" >>"$LAB/rules-$count"
    done
    settled
    for count in 10 100 1000 10000 100000 1000000; do
        file=$LAB/rules-$count
        rounds=$((count > 100000 ? 7 : 15))
        turns value "$rounds" "$programs/pins" read "$file" "$count" -- "$programs/pins" load "$file" "$count" |
            row "pins/load/$count" ns 'without: the file is read once'
        turns time "$rounds" wc -l "$file" -- "$programs/pins" load "$file" "$count" |
            row "pins/process that loads/$count" ns 'without: wc -l'
        echo "0 $("$programs/pins" memory "$file" "$count")" | row "pins/memory/$count" bytes
    done
    for way in hit miss; do
        for count in 10 100 1000 10000 100000 1000000; do
            turns value 5 "$programs/pins" "$way" "$LAB/rules-10" 10 -- "$programs/pins" "$way" "$LAB/rules-$count" "$count" |
                row "pins/lookup $way/$count" ns 'without: among 10 rules'
        done
    done
    for count in 10 100000; do
        turns time 50 "${curl[@]}" "https://localhost:$good/" -- \
            "LD_PRELOAD=$object" "PINSHIM_PINS=$LAB/rules-$count" "${curl[@]}" "https://localhost:$good/" | row "pins/curl/$count" ns '' 1
    done
}
