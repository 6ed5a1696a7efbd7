#!/usr/bin/env bash
# A release's archive for one platform: podgate_OS_ARCH.tar.gz with the binary and the licence, and its SHA-256 beside it.
#   archive.sh name                 prints the archive's name for this machine
#   archive.sh pack BINARY FOLDER   writes it, and FOLDER/NAME.sha256
# install.sh, .krew.yaml and docs/guides/ci.md use these names.
set -euo pipefail

name() {
  local os arch
  os=$(uname -s)
  arch=$(uname -m)
  case "$os/$arch" in
    Linux/x86_64) echo podgate_linux_amd64.tar.gz ;;
    Linux/aarch64 | Linux/arm64) echo podgate_linux_arm64.tar.gz ;;
    *)
      echo "podgate has releases for Linux on amd64 and arm64, and this is $os on $arch; build it there with cargo install" >&2
      return 3
      ;;
  esac
}

case "${1:-} $#" in
  "name 1") name ;;
  "pack 3")
    archive=$(name)
    staging=$(mktemp -d)
    trap 'rm -rf "$staging"' EXIT
    install -m 755 "$2" "$staging/podgate"
    install -m 644 "$(dirname "${BASH_SOURCE[0]}")/../../LICENSE" "$staging/LICENSE"
    # Equal inputs give equal archives.
    tar -C "$staging" --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 -cf - LICENSE podgate | gzip -n >"$3/$archive"
    (cd "$3" && sha256sum "$archive" >"$archive.sha256")
    ;;
  *)
    echo "usage: archive.sh name | archive.sh pack BINARY FOLDER" >&2
    exit 2
    ;;
esac
