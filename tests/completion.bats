#!/usr/bin/env bats
# Goal: bash and zsh complete all commands and options of pinshim, and no others.

# shellcheck disable=SC2016

load lib/programs

setup() {
    COMPLETION=$BATS_TEST_DIRNAME/../completion
    cd "$BATS_TEST_TMPDIR" || return 1
    export COMPLETION PINSHIM=$BATS_TEST_DIRNAME/../build/pinshim
}

# completes EXPECTED WORD...: bash offers these for the last of the words (which may be ''), in any order
completes() {
    local expected=$1
    shift
    capture bash --norc -c '. "$COMPLETION/pinshim"
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_pinshim
printf "%s\n" "${COMPREPLY[@]}"' _ "$@"
    equals "$ERR" ''
    equals "$(LC_ALL=C sort -u "$OUT_FILE" | paste -sd" ")" "$expected"
}

@test "bash completes every subcommand, its options and their values" {
    completes '--help --version check doctor help learn lint pin prove run' pinshim ''
    completes 'check' pinshim c
    completes '--version' pinshim --v
    completes '-- --force --help --json --log --log-level --pins --report' pinshim run --
    completes '-- --help --json --pid' pinshim doctor --
    completes '--for --help --into --issuer --replace --starttls --timeout' pinshim pin --
    completes '--help --json --strict' pinshim lint -
    completes '--help --json --next --prometheus --starttls --timeout' pinshim check pins -
    completes '-- --force --help -f -o' pinshim learn -
    completes 'none stderr syslog' pinshim run --log ''
    completes 'all debug refused' pinshim run --log-level ''
    completes 'smtp' pinshim check --starttls sm
    completes 'pop3 postgres' pinshim pin --starttls p
    completes '@revoked @unknown' pinshim pin --for @
    completes '@revoked' pinshim pin --for @ rev
    completes '@unknown' pinshim pin --for @ unk
    completes 'learn lint' pinshim help l
    completes '' pinshim nonsense -
}

@test "bash completes commands for run, doctor and learn, after their options" {
    completes 'basename' pinshim run basenam
    completes 'basename' pinshim run --pins x --json basenam
    completes 'basename' pinshim learn -o x -- basenam
    completes 'basename' pinshim doctor -- basenam
    completes '' pinshim doctor --pid basenam
    # What follows is the command's.
    completes '' pinshim run basename --
    completes '' pinshim run -- basename --
}

@test "bash completes files and hosts" {
    touch some.pem some.txt
    completes 'some.pem some.txt' pinshim pin so
    completes 'some.pem some.txt' pinshim check so
    capture bash --norc -c '. "$COMPLETION/pinshim"; complete -p pinshim'
    has "$OUT" '-o default'
    echo '127.0.0.1 somewhere.example' >hosts
    capture env HOSTFILE="$PWD/hosts" bash --norc -c '. "$COMPLETION/pinshim"
COMP_WORDS=(pinshim check pins some) COMP_CWORD=3
_pinshim
printf "%s\n" "${COMPREPLY[@]}"'
    has "$OUT" somewhere.example
}

@test "bash completes process IDs" {
    capture bash --norc -c '. "$COMPLETION/pinshim"
COMP_WORDS=(pinshim doctor --pid "$1") COMP_CWORD=3
_pinshim
printf "%s\n" "${COMPREPLY[@]}"' _ "$$"
    grep -qx "$$" "$OUT_FILE"
}

@test "a tab in bash and in zsh completes" {
    local shell
    needs_terminal
    touch the-pins-of-mine
    printf '%s\n' 'PS1="ready> "' 'pinshim() { echo "[$*]"; }' '. "$COMPLETION/pinshim"' 'pinshim li\tthe-\t' 'pinshim check --ne\tthe-\t' \
        'pinshim run --pins the-\tbasenam\tx' 'pinshim pin --starttls im\thost' 'pinshim run --log sysl\tx' 'pinshim pin --for @un\thost' 'pinshim pin --for @re\thost' 'pinshim help li\t' \
        exit >bash.typed
    printf '%s\n' 'PROMPT="ready> "' 'pinshim() { echo "[$*]" }' 'fpath=("$COMPLETION" $fpath)' 'autoload -Uz compinit; compinit -u -D' \
        "$(sed -n '/^pinshim [a-z]/p' bash.typed)" exit >zsh.typed
    for shell in 'bash --norc --noprofile -i' 'zsh -f -i'; do
        # The first prompt is the shell's own, set like the others.
        capture bash -c 'PS1="ready> " PROMPT="ready> " TERM=dumb exec python3 "$0" '"$shell"' <"$1"' \
            "$BATS_TEST_DIRNAME/lib/typed.py" "$PWD/${shell%% *}.typed"
        has "$OUT" '[lint the-pins-of-mine]'
        has "$OUT" '[pin --for @unknown host]'
        has "$OUT" '[pin --for @revoked host]'
        has "$OUT" '[help lint]'
        has "$OUT" '[run --log syslog x]'
        has "$OUT" '[check --next the-pins-of-mine]'
        has "$OUT" '[run --pins the-pins-of-mine basename x]'
        has "$OUT" '[pin --starttls imap host]'
    done
}

@test "the completions offer the options that the help texts have, and no other" {
    local subcommand words
    for subcommand in $("$PINSHIM" --help | sed -n 's/^  pinshim \([a-z]*\) .*/\1/p'); do
        words=$("$PINSHIM" "$subcommand" --help | grep -oE '^  --?[a-z-]+' | tr -d ' ' | sort -u | grep -vxe --help)
        capture bash --norc -c '. "$COMPLETION/pinshim"
COMP_WORDS=(pinshim "$1" -) COMP_CWORD=2
_pinshim
printf "%s\n" "${COMPREPLY[@]}"' _ "$subcommand"
        equals "$(grep -vxe --help -e -- "$OUT_FILE" | sort -u | xargs)" "$(xargs <<<"$words")"
        # Its branch in zsh's.
        awk -v branch="$subcommand)" '$1 == branch { on = 1 } on { print } /;;/ { on = 0 }' "$COMPLETION/_pinshim" >branch
        equals "$(grep -oE "[\"')]--?[a-z-]+\[" branch | grep -oE -e '--?[a-z-]+' | grep -vxe --help | sort -u | xargs)" "$(xargs <<<"$words")"
    done
}
