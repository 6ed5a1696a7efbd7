#!/usr/bin/env bash
# Installs a release of podgate: install.sh VERSION FOLDER. PODGATE_DOWNLOAD_URL names a mirror of the releases, with a
# folder vVERSION for each.
set -euo pipefail

if [ $# -ne 2 ]; then
  echo "usage: install.sh VERSION FOLDER" >&2
  exit 2
fi
version=${1#v}
folder=$2
releases=${PODGATE_DOWNLOAD_URL:-https://github.com/stochastic-io/podgate/releases/download}
fail() { echo "podgate cannot be installed: $*" >&2; exit 3; }

# The version is a part of an address.
[[ $version =~ ^[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?$ ]] || fail "the version is '$version'; write it as 1.2.3"
case "$releases" in
  https://*) protocol='=https' ;;
  http://127.0.0.1:*) protocol='=http' ;;
  *) fail "PODGATE_DOWNLOAD_URL is '$releases'; it must begin with https://" ;;
esac
archive=$("$(dirname "${BASH_SOURCE[0]}")/archive.sh" name)

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
for file in "$archive" "$archive.sha256"; do
  address="$releases/v$version/$file"
  curl --fail --silent --show-error --location --proto "$protocol" --retry 3 --max-time 300 \
    --output "$scratch/$file" "$address" || fail "$address cannot be downloaded; is there a release $version?"
done
# The name in the checksum's file must be the archive's: another file's checksum proves nothing.
(cd "$scratch" && grep -E "^[0-9a-f]{64}  $archive\$" "$archive.sha256" | sha256sum --check --status) ||
  fail "the SHA-256 of $archive is not that of $archive.sha256"
mkdir -p "$folder"
tar -xzf "$scratch/$archive" -C "$folder" podgate
"$folder/podgate" version
