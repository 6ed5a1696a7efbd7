#!/usr/bin/env bash
# Prints the path of vap-eval, the judge of CEL expressions that is made of the API server's own code, building it from
# Go modules the first time. It stands alone, so that it is there with a foreign control plane (KUBEBUILDER_ASSETS) too.
#
# The build goes into the user's cache, under a key of everything it is made from.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

if ! command -v go >/dev/null; then
  echo "the judge of CEL expressions is built with Go (1.26 or newer), and there is no 'go' on the PATH: install it" >&2
  exit 3
fi

key=$(cat go.mod go.sum cmd/vap-eval/*.go vapeval/*.go <(go env GOVERSION GOOS GOARCH) | cksum | cut -d" " -f1)
program="${XDG_CACHE_HOME:-$HOME/.cache}/podgate/vap-eval/vap-eval-$key"
if [ ! -x "$program" ]; then
  echo "vap-eval: building from Go modules, once; minutes if the control plane was not built here" >&2
  mkdir -p "$(dirname "$program")"
  staging=$(mktemp "$program.XXXXXX")
  trap 'rm -f "$staging"' EXIT
  go build -trimpath -buildvcs=false -ldflags "-s -w" -o "$staging" ./cmd/vap-eval >&2
  # The rename is the last step, so a file by the final name is always whole.
  mv "$staging" "$program"
fi
echo "$program"
