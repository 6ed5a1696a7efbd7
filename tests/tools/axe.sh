#!/usr/bin/env bash
# Prints the path of axe-core, the judge of accessibility, and gets it from npm the first time. The version and the
# digest of its package are pinned here. It stays in the user's cache. Only the path goes to stdout.
set -euo pipefail

version=4.14.1
digest=FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ==
folder="${XDG_CACHE_HOME:-$HOME/.cache}/podgate/tools/axe-core-$version"
script="$folder/axe.min.js"
if [ -f "$script" ]; then
  echo "$script"
  exit 0
fi

if ! command -v npm >/dev/null; then
  echo "axe-core comes from npm, which is missing: install it (on Debian and Ubuntu: apt-get install npm)" >&2
  exit 3
fi
mkdir -p "$folder"
staging=$(mktemp -d "$folder/get.XXXXXX")
trap 'rm -rf "$staging"' EXIT

echo "axe-core: getting $version from npm, once" >&2
(cd "$staging" && npm pack --silent "axe-core@$version" >/dev/null)
package="$staging/axe-core-$version.tgz"
found=$(openssl dgst -sha512 -binary "$package" | openssl base64 -A)
if [ "$found" != "$digest" ]; then
  echo "axe-core: the package has the digest $found, and $digest is pinned in tests/tools/axe.sh" >&2
  exit 3
fi
tar -xzf "$package" -C "$staging" package/axe.min.js
# The rename is the last step, so the script with the final name is always complete.
mv "$staging/package/axe.min.js" "$script"
echo "$script"
