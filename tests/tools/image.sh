#!/usr/bin/env bash
# Builds the image of a static binary with buildah, and its SBOM, and checks both: tests/tools/image.sh FOLDER, where
# FOLDER/podgate is the binary (`make image` calls it).
#
# The image is podgate:VERSION in a buildah store in the user's cache. FOLDER/podgate.oci.tar is the same image as a
# file; FOLDER/podgate.cdx.json is the SBOM.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

folder=$1
most_mib=20
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -1)
image="localhost/podgate:$version"
cache="${XDG_CACHE_HOME:-$HOME/.cache}/podgate"
buildah=$(tests/tools/debian.sh buildah buildah)
# vfs and chroot need no daemon and no overlay file system.
store=(--storage-driver vfs --root "$cache/buildah/store" --runroot "$cache/buildah/run")
say() { echo "image: $*" >&2; }
fail() { say "$*"; exit 1; }

# ldd has two messages for a static binary.
(ldd "$folder/podgate" 2>&1 || true) | grep -qE "statically linked|not a dynamic executable" ||
  fail "$folder/podgate is not static: make image-binary"
# The first stage of the Dockerfile builds the binary. Here the build context `build` replaces that stage.
context=$(mktemp -d)
trap 'rm -rf "$context"' EXIT
cp "$folder/podgate" "$context/podgate"
"$buildah" build "${store[@]}" --isolation chroot --build-context build="$context" --tag "$image" . >"$context.log" 2>&1 ||
  { cat "$context.log" >&2; fail "the image cannot be built"; }
rm -f "$context.log"

inspected=$("$buildah" inspect "${store[@]}" --type image --format '{{.OCIv1.Config.User}} {{.OCIv1.Config.Entrypoint}}' "$image")
[ "$inspected" = "65532:65532 [/podgate]" ] || fail "user and entrypoint are $inspected, not 65532:65532 [/podgate]"
container=$("$buildah" from "${store[@]}" "$image")
trap '"$buildah" rm "${store[@]}" "$container" >/dev/null; rm -rf "$context"' EXIT
mount=$("$buildah" mount "${store[@]}" "$container")
files=$(cd "$mount" && find . -type f)
[ "$files" = ./podgate ] || fail "the image contains more than the binary: $files"
# As in a cluster: not as root, and without other files.
said=$(chroot --userspec=65532:65532 "$mount" /podgate version) || fail "the binary does not run in the image"
bytes=$(stat -c %s "$mount/podgate")
mib=$(awk "BEGIN {printf \"%.1f\", $bytes / 1048576}")
rm -f "$folder/podgate.oci.tar"
"$buildah" push "${store[@]}" "$image" "oci-archive:$folder/podgate.oci.tar:podgate:$version" >/dev/null 2>&1 || fail "the image cannot be written to $folder/podgate.oci.tar"
[ "$bytes" -le $((most_mib * 1048576)) ] || fail "the binary is $mib MiB; the limit is $most_mib MiB"
say "$image, $mib MiB unpacked, $(du -m "$folder/podgate.oci.tar" | cut -f1) MiB packed; in it: $(head -1 <<<"$said")"

# The SBOM lists the crates that Cargo.lock puts into the binary.
cyclonedx=0.5.9
tool="$cache/tools/cargo-cyclonedx-$cyclonedx/bin/cargo-cyclonedx"
if [ ! -x "$tool" ]; then
  say "installing cargo-cyclonedx $cyclonedx, once; two minutes on two cores"
  cargo install --quiet --locked --version "$cyclonedx" --root "$cache/tools/cargo-cyclonedx-$cyclonedx" cargo-cyclonedx
fi
"$tool" cyclonedx --quiet --format json --target x86_64-unknown-linux-gnu --no-build-deps --override-filename podgate.cdx
mv podgate.cdx.json "$folder/podgate.cdx.json"
components=$(grep -c '"purl": "pkg:cargo/' "$folder/podgate.cdx.json") || true
[ "$components" -ge 100 ] || fail "the SBOM lists only $components crates"
say "SBOM of $components crates in $folder/podgate.cdx.json"
