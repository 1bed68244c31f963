#!/usr/bin/env bats
# Goal: the manual pages are well-formed and complete, and are installed with the rest.

# shellcheck disable=SC2153

load lib/programs

setup() {
    cd "$BATS_TEST_DIRNAME/.." || return 1
}

# words FILE: the words of the page as it is printed
words() {
    mandoc -T ascii "$1" | col -bx | tr -s ' \n' '\n'
}

@test "mandoc has nothing to warn of" {
    local page
    for page in man/*.[158]; do
        capture mandoc -T lint -W warning "$page"
        equals "$STATUS$OUT" 0
    done
    # And would have.
    printf '.Dd x\n.Dt X 1\n.Os\n.Sh NAME\n' >"$BATS_TEST_TMPDIR/bad.1"
    capture mandoc -T lint -W warning "$BATS_TEST_TMPDIR/bad.1"
    [ "$STATUS" -ne 0 ]
}

@test "every option of a help text is in pinshim(1)" {
    local subcommand option
    words man/pinshim.1 | sed 's/^\[*//; s/[].,:;]*$//' >"$BATS_TEST_TMPDIR/words"
    for subcommand in $(build/pinshim --help | sed -n 's/^  pinshim \([a-z]*\) .*/\1/p'); do
        # Once in the synopsis, and where it is explained.
        for option in "$subcommand" $(build/pinshim "$subcommand" --help | grep -oE '^  --?[a-z]+'); do
            [ "$(grep -cxe "$option" "$BATS_TEST_TMPDIR/words")" -ge 2 ] || explain "$subcommand: $option"
        done
    done
}

@test "every field of a pins file is in pins(5)" {
    local field fields='[a-z]+-(sha[0-9]+|file):|sha256//?|pin-sha256=|client-[a-z-]+=|expires=|mode=|pkix|allow|deny|@revoked|@unknown'
    words man/pins.5 >"$BATS_TEST_TMPDIR/words"
    for field in $(grep -oE "\"($fields)" shim/core/pins_parse.c | tr -d '"' | sort -u); do
        # Digests of other products' names are refused.
        [[ $field != *sha1* ]] || continue
        grep -qe "^$field" -e "^${field%:}\.*\$" "$BATS_TEST_TMPDIR/words" || explain "$field"
    done
}

@test "every variable, and every member of the log's JSON, is in libpinshim(8)" {
    local word members
    words man/libpinshim.8 | tr -d ',.' >"$BATS_TEST_TMPDIR/words"
    members=$(sed -n '/^static void put_json/,/^}/p' shim/core/log.c | grep -oE '(put_member\(out, "|\\")[a-z_0-9]+(", |\\")' |
        grep -oE '"[a-z_0-9]+' | tr -d '"' | sort -u)
    [ "$(wc -l <<<"$members")" -gt 15 ]
    for word in $(grep -ohE '"PINSHIM_[A-Z_]+"' shim/core/config.c | tr -d '"' | sort -u) $members; do
        grep -qx "$word" "$BATS_TEST_TMPDIR/words" || explain "$word"
    done
}

@test "make install puts everything in its place, and uninstall takes it away" {
    local file
    # In a copy of what was built: the command is made anew for another PREFIX.
    mkdir "$BATS_TEST_TMPDIR/build"
    cp -a build/{shim,cmd,exports.map,libdir,pinshim,libpinshim.so,libpinshim-prove.so} "$BATS_TEST_TMPDIR/build"
    make -s install BUILD="$BATS_TEST_TMPDIR/build" DESTDIR="$BATS_TEST_TMPDIR/root" PREFIX=/usr
    for file in bin/pinshim lib/libpinshim.so share/man/man1/pinshim.1 share/man/man5/pins.5 share/man/man8/libpinshim.8 \
        share/bash-completion/completions/pinshim share/zsh/site-functions/_pinshim share/doc/pinshim/README.md; do
        [ -f "$BATS_TEST_TMPDIR/root/usr/$file" ] || explain "$file"
    done
    # What README.md and the others link to among documents is there.
    for file in README.md docs/paths.md; do
        grep -oE '\]\([A-Za-z/_-]+\.(md|example)\)|\]\(LICENSE\)' "$file" | sed 's/^](//; s/)$//' >"$BATS_TEST_TMPDIR/links"
        [ -s "$BATS_TEST_TMPDIR/links" ]
        while read -r file; do
            [ -f "$BATS_TEST_TMPDIR/root/usr/share/doc/pinshim/$file" ] || [ -f "$BATS_TEST_TMPDIR/root/usr/share/doc/pinshim/docs/$file" ] ||
                explain "linked to, but not installed: $file"
        done <"$BATS_TEST_TMPDIR/links"
    done
    "$BATS_TEST_TMPDIR/root/usr/bin/pinshim" --version
    make -s uninstall BUILD="$BATS_TEST_TMPDIR/build" DESTDIR="$BATS_TEST_TMPDIR/root" PREFIX=/usr
    equals "$(find "$BATS_TEST_TMPDIR/root" -type f)" ''
}

@test "every page of docs is in the layout of docs/contributing.md, and every member of the JSON of lint and check in pinshim(1)" {
    local page member
    for page in docs/*.md; do
        grep -qE "^    $page +[a-z]" docs/contributing.md || explain "$page"
    done
    sed -n '/^\.Ss lint/,/^\.Sh ENV/p' man/pinshim.1 >"$BATS_TEST_TMPDIR/page"
    for member in $(grep -ohE '(output_json_(open|string|number)|print_(member|place))\(&?json, "[a-z_0-9]+"' cmd/lint.c cmd/check.c |
        grep -oE '"[a-z_0-9]+' | tr -d '"' | sort -u) not-checked; do
        grep -qwE "$member" "$BATS_TEST_TMPDIR/page" || explain "$member"
    done
}
