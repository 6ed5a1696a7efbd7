#!/usr/bin/env bash
# Prints the path of a program for the tests, and builds it from its Go module the first time:
# tests/tools/tool.sh helm4|helm3|helm-unittest|kubeconform|actionlint|krew
#
# The version is in a nested module beside this script. The build goes into the user's cache, under a key of all its
# inputs, so later runs and other checkouts find it there. Only the path goes to stdout.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

name=${1:-}
if ! grep -qs '^tool ' "./$name/go.mod"; then
  echo "usage: tool.sh NAME, where NAME is one of:" $(grep -l '^tool ' */go.mod | sed 's|/go.mod||') >&2
  exit 2
fi
cd "$name"

if ! command -v go >/dev/null; then
  echo "$name is built with Go (1.26 or newer), and there is no 'go' on the PATH: install it" >&2
  exit 3
fi

package=$(sed -n 's|^tool ||p' go.mod)
# The module is the longest required path that is a prefix of the package's.
read -r module version < <(awk -v package="$package" '
  /^[ \t]+[^ \t]+ v[0-9]/ || /^require [^(]/ {
    path = $1 == "require" ? $2 : $1; v = $1 == "require" ? $3 : $2
    if (index(package "/", path "/") == 1 && length(path) > length(best)) { best = path; found = v }
  } END { print best, found }' go.mod)
# The same flags as Helm's own builds: its version, and the Kubernetes version that it assumes without a cluster
# (helm template, helm lint).
minor=$(sed -n 's|^\tk8s.io/client-go v0\.\([0-9]*\)\..*|\1|p' go.mod)
flags="-s -w -X $module/internal/version.version=$version"
for holder in helm.sh/helm/v3/pkg/chartutil helm.sh/helm/v3/pkg/lint/rules; do
  flags+=" -X $holder.k8sVersionMajor=1 -X $holder.k8sVersionMinor=$minor"
done
key=$(cat go.mod go.sum <(go env GOVERSION GOOS GOARCH) <(echo "$flags") | cksum | cut -d" " -f1)
folder="${XDG_CACHE_HOME:-$HOME/.cache}/podgate/tools/$name-$version-$key"
program="$folder/${package##*/}"
if [ -x "$program" ]; then
  echo "$program"
  exit 0
fi

say() { echo "$name: $*" >&2; }
mkdir -p "$folder"
staging=$(mktemp "$folder/build.XXXXXX")
trap 'rm -f "$staging"' EXIT

say "building $version from its Go module, once; up to five minutes on two cores"
began=$SECONDS
go build -trimpath -buildvcs=false -ldflags "$flags" -o "$staging" "$package" >&2
chmod +x "$staging"
# The rename is the last step, so the program with the final name is always complete.
mv "$staging" "$program"
say "ready in $program after $((SECONDS - began)) s"
echo "$program"
