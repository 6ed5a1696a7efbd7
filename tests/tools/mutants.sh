#!/usr/bin/env bash
# Changes the rules' checks one spot at a time, and fails if the tests do not notice: mutants.sh [FLAG…], with flags of
# cargo-mutants such as --shard 0/8 for an eighth, --iterate for those that survived the last time, or --list.
#
# A mutant is judged by the rules' fixtures and by the unit tests of the rules, of `mutate` and of the forms in CEL. So
# that one takes ten seconds, and all of them an hour, `policy` is copied into a crate of its own in TARGET/mutants, on
# a crate of the modules below it, which is built once. What mutants did is in TARGET/mutants/mutants.out; missed.txt
# lists the survivors. The CEL forms themselves (in_cel) are left out: the API server judges those, in the suite
# in_tree.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

version=27.0.0
root="${XDG_CACHE_HOME:-$HOME/.cache}/podgate/tools/cargo-mutants-$version"
if [ ! -x "$root/bin/cargo-mutants" ]; then
  echo "cargo-mutants: building $version, once; some minutes" >&2
  cargo install --locked --quiet --root "$root" --version "=$version" cargo-mutants >&2
fi

tree=${CARGO_TARGET_DIR:-target}/mutants
mkdir -p "$tree/below/src"
tree=$(cd "$tree" && pwd)
for below in api cel; do
  ln -sfn "$PWD/src/$below" "$PWD/src/$below.rs" "$tree/below/src/"
done
ln -sfn "$PWD/charts" "$tree/below/"
echo 'pub mod api; pub mod cel;' > "$tree/below/src/lib.rs"
rm -rf "$tree/src"
mkdir "$tree/src"
cp -pr src/policy src/policy.rs "$tree/src/"
cp Cargo.lock "$tree/"
ln -sfn "$PWD/tests" "$tree/"
cat > "$tree/src/lib.rs" <<'RUST'
#![allow(unused)]
extern crate self as podgate;
pub use below::{api, cel};
pub mod policy;
#[cfg(test)]
#[path = "../tests/offline/rules.rs"]
mod fixtures;
#[cfg(test)]
#[path = "../tests/support/manifests.rs"]
mod manifests;
#[cfg(test)]
mod support {
    pub(crate) use super::manifests;
}
RUST
manifest=$(sed '/^default-run/d; /^\[profile/,$d' Cargo.toml)
echo "${manifest/name = \"podgate\"/name = \"below\"}" > "$tree/below/Cargo.toml"
cat > "$tree/Cargo.toml" <<TOML
$manifest
[dependencies.below]
path = "below"
[profile.dev.package.below]
opt-level = 1
[workspace]
TOML

cd "$tree"
# Without debug information a mutant is built in half the time. The test that is left out takes as long as the others.
export CARGO_PROFILE_DEV_DEBUG=0 CARGO_TARGET_DIR=$tree/target
exec "$root/bin/cargo-mutants" mutants --in-place --no-shuffle --timeout 300 \
  --file 'src/policy/rules/**/*.rs' --exclude-re in_cel --cargo-arg=--lib "$@" \
  -- -- rules:: fixtures:: mutation::tests vap::tests --skip budget_runs_out
