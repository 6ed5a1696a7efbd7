#!/usr/bin/env bash
# Prints the folder that holds etcd, kube-apiserver, kube-controller-manager,
# kube-scheduler and kubectl, building them from Go modules the first time.
#
# KUBEBUILDER_ASSETS, if set, is taken as it is. Otherwise the build goes into
# the user's cache, under a key of everything it is made from: a second run, and
# a second checkout, find it there. The folder is all that goes to stdout.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

programs="etcd kube-apiserver kube-controller-manager kube-scheduler kubectl"
if [ -n "${KUBEBUILDER_ASSETS:-}" ]; then
  for program in etcd kube-apiserver kube-controller-manager kubectl; do
    if [ ! -x "$KUBEBUILDER_ASSETS/$program" ]; then
      echo "KUBEBUILDER_ASSETS is $KUBEBUILDER_ASSETS, which has no $program: unset it to have one built, or point it at a folder that has one" >&2
      exit 3
    fi
  done
  echo "$KUBEBUILDER_ASSETS"
  exit 0
fi

if ! command -v go >/dev/null; then
  echo "the control plane is built with Go (1.26 or newer), and there is no 'go' on the PATH: install it, or set KUBEBUILDER_ASSETS" >&2
  exit 3
fi

version=$(sed -n 's|^.*k8s.io/kubernetes \(v[0-9.]*\)$|\1|p' go.mod)
minor=$(echo "$version" | cut -d. -f2)
key=$(cat go.mod go.sum main.go <(go env GOVERSION GOOS GOARCH) | cksum | cut -d" " -f1)
assets="${XDG_CACHE_HOME:-$HOME/.cache}/podgate/controlplane/$version-$key"
if [ -x "$assets/kubectl" ]; then
  echo "$assets"
  exit 0
fi

mkdir -p "$(dirname "$assets")"
staging=$(mktemp -d "$assets.XXXXXX")
trap 'rm -rf "$staging"' EXIT
say() { echo "control plane: $*" >&2; }

say "building Kubernetes $version and etcd from Go modules, once; about ten minutes on two cores"
say "downloading modules"
go mod download >&2
total=$(go list -deps . | wc -l)
# The version is linked in, or clients and Helm reject the server's answer.
pkg=k8s.io/component-base/version
go build -v -trimpath -buildvcs=false -o "$staging/controlplane" \
  -ldflags "-s -w -X $pkg.gitVersion=$version -X $pkg.gitMajor=1 -X $pkg.gitMinor=$minor" . 2>&1 |
  awk -v total="$total" '
    /^[a-z0-9.\/_-]+$/ { if (++n % 100 == 0) print "control plane: compiled " n " of at most " total " packages" > "/dev/stderr"; next }
    { print > "/dev/stderr" }'
for program in $programs; do ln -s controlplane "$staging/$program"; done
# The rename is the last step, so a folder by the final name is always whole.
# A build that ran at the same time may have come first: its result is as good.
[ -x "$assets/kubectl" ] || mv "$staging" "$assets"
say "ready in $assets"
echo "$assets"
