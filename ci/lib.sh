# What the scripts here and the commit gate share. Source it from the repository's root.

# Begins a step and says what the one before it took.
step() {
    [ -z "${step_name:-}" ] || printf -- '-- %s: %s s\n' "$step_name" "$((SECONDS - step_began))"
    step_name=$*
    step_began=$SECONDS
    printf '\n== %s (after %s s)\n' "$step_name" "$SECONDS"
}

# Runs a command of `cargo test`, and fails if no test ran, or if one of its filters (what comes after
# `--` and begins with no dash) matches none: a filter whose test was renamed would pass for ever.
matching() {
    local output status=0 filter filters=() behind=
    for argument in "$@"; do
        case "$behind$argument" in
            --) behind=yes ;;
            yes-*) ;;
            yes*) filters+=("$argument") ;;
        esac
    done
    output=$(mktemp)
    "$@" 2>&1 | tee "$output" || status=$?
    if [ "$status" = 0 ]; then
        grep -q '^running [1-9]' "$output" || { echo "no test ran: $*"; status=1; }
        for filter in "${filters[@]}"; do
            grep -q "^test [^ ]*$filter" "$output" || { echo "no test matches $filter: $*"; status=1; }
        done
    fi
    rm -f "$output"
    return "$status"
}

# The checks of `deny.toml` by cargo-deny, which is built in two minutes where it is not there and stays
# with cargo's own programs. Not optimized: that would take three times as long, and save a second.
deny() {
    cargo deny --version 2>/dev/null || CARGO_PROFILE_DEV_DEBUG=0 \
        cargo install cargo-deny --version "$CARGO_DENY" --locked --debug
    cargo deny "$@"
}
CARGO_DENY=0.20.2
# Where cargo-deny reads advisories.
ADVISORIES=https://github.com/RustSec/advisory-db
