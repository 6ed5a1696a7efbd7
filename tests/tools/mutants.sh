#!/usr/bin/env bash
# Changes the rules' checks one spot at a time, and fails if the tests do not notice: mutants.sh [FLAG…], with flags of
# cargo-mutants such as --shard 0/8 for an eighth, or --list.
#
# A mutant is judged by the rules' unit tests, their fixtures, and the tests of bundles and samples. It takes a build of
# the library and of a suite. What mutants did is in TARGET/mutants.out; missed.txt lists the survivors. The CEL forms
# (in_cel) are left out: the API server judges those, in the suite in_tree.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

version=27.0.0
root="${XDG_CACHE_HOME:-$HOME/.cache}/podgate/tools/cargo-mutants-$version"
if [ ! -x "$root/bin/cargo-mutants" ]; then
  echo "cargo-mutants: building $version, once; some minutes" >&2
  cargo install --locked --quiet --root "$root" --version "=$version" cargo-mutants >&2
fi

# Without debug information a mutant is built in half the time.
export CARGO_PROFILE_DEV_DEBUG=0 CARGO_PROFILE_TEST_DEBUG=0
target=${CARGO_TARGET_DIR:-target}
mkdir -p "$target"
exec "$root/bin/cargo-mutants" mutants --no-shuffle --jobs 1 --timeout 300 --output "$target" \
  --file 'src/policy/rules/**/*.rs' --exclude-re in_cel "$@" \
  -- --lib --test offline \
  -- rules:: the_cases_of_every_bundle the_samples_decide
