#!/bin/sh
# Builds the fuzz targets once and runs each for a bounded time: fuzz/run.sh [SECONDS [TARGET…]].
# Builds and what was found are kept in CARGO_TARGET_DIR where that is set, else in the user's cache.
# The stable compiler instruments what libFuzzer needs by itself; no sanitizer and no further tool takes part.
set -eu
cd "$(dirname "$0")/.."
seconds=${1:-60}
[ $# -eq 0 ] || shift
cache=${CARGO_TARGET_DIR:+$CARGO_TARGET_DIR/fuzz}
cache=${cache:-${XDG_CACHE_HOME:-$HOME/.cache}/podgate/fuzz}
host=$(rustc -vV | sed -n 's/^host: //p')
targets=${*:-$(ls fuzz/targets | sed 's/\.rs$//')}

# With a named target, build scripts and macros stay as they are.
RUSTFLAGS="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1 --cfg fuzzing" \
CARGO_TARGET_DIR="$cache/target" \
    "${CARGO:-cargo}" build --release --locked --manifest-path fuzz/Cargo.toml --target "$host" --bins

# Images, quantities and expressions to begin with are those of the corpora.
seeds=$cache/seeds
mkdir -p "$seeds/image" "$seeds/quantity" "$seeds/cel" "$seeds/none"
split_into() { awk -v dir="$1" '{ file = sprintf("%s/%05d", dir, NR); printf "%s", $0 > file; close(file) }'; }
cat tests/hostile/reviews/*/*.json | grep -ao '"image":"[^"]*"' | cut -d'"' -f4 | sort -u | split_into "$seeds/image"
cat tests/hostile/reviews/*/*.json | grep -ao '"memory":"[^"]*"' | cut -d'"' -f4 | sort -u | split_into "$seeds/quantity"
cat tests/cel/corpus/*.cel | grep -av '^[#[:space:]]' | grep -a . | split_into "$seeds/cel"

failed=
for target in $targets; do
    case $target in
    review | mutate) from='tests/hostile/reviews/refused tests/hostile/reviews/denied tests/hostile/reviews/admitted' ;;
    policy) from="tests/hostile/policies/refused tests/hostile/policies/accepted $(ls -d tests/rules/*)" ;;
    image | quantity | cel) from=$seeds/$target ;;
    *) from=$seeds/none ;;
    esac
    corpus=$cache/corpus/$target crashes=$cache/crashes/$target
    mkdir -p "$corpus" "$crashes"
    program=$cache/target/$host/release/$target
    echo "== $target, $seconds seconds"
    # shellcheck disable=SC2086 # $from is several folders
    if ! "$program" -max_total_time="$seconds" -timeout=25 -rss_limit_mb=1024 -max_len=16384 -len_control=0 \
        -artifact_prefix="$crashes/" "$corpus" $from 2> "$cache/$target.log"; then
        failed="$failed $target"
        tail -n 40 "$cache/$target.log"
        echo "again: $program $(ls -t "$crashes"/* | head -n 1)"
    fi
    grep -aE 'cov: [0-9]+' "$cache/$target.log" | tail -n 1
done
[ -z "$failed" ] || { echo "crashed:$failed"; exit 1; }
