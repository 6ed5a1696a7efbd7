#!/usr/bin/env bash
# Prints the folder of JSON schemas for kubeconform, and creates it the first time: schemas of Kubernetes (the version
# of tests/controlplane), cert-manager, prometheus-operator, and podgate's policies.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

# Only these modules are downloaded, without their dependencies; they are not built.
cert_manager=github.com/cert-manager/cert-manager@v1.21.2
operator=github.com/prometheus-operator/prometheus-operator@v0.85.0
kubernetes=$(sed -n 's|^.*\(k8s.io/kubernetes\) \(v[0-9.]*\)$|\1@\2|p' ../controlplane/go.mod)
ours=$(realpath ../../charts/podgate/definitions)

key=$(cat schemas/main.go "$ours"/*.yaml <(echo "$kubernetes $cert_manager $operator") | cksum | cut -d" " -f1)
folder="${XDG_CACHE_HOME:-$HOME/.cache}/podgate/tools/schemas-$key"
if [ -e "$folder/_definitions.json" ]; then
  echo "$folder"
  exit 0
fi

source_of() { go mod download -json "$1" | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p'; }
echo "schemas: reading the APIs of $kubernetes, $cert_manager and $operator, once; a few seconds" >&2
mkdir -p "$(dirname "$folder")"
staging=$(mktemp -d "$folder.XXXXXX")
trap 'rm -rf "$staging"' EXIT
swagger=$(source_of "$kubernetes")/api/openapi-spec/swagger.json
crds=("$(source_of "$cert_manager")"/deploy/crds/cert-manager.io_*.yaml)
crds+=("$(source_of "$operator")"/example/prometheus-operator-crd/*_{servicemonitors,prometheusrules}.yaml)
(cd schemas && go run . "$staging" "$swagger" "${crds[@]}" "$ours"/*.yaml)
[ -e "$folder/_definitions.json" ] || mv "$staging" "$folder"
echo "$folder"
