#!/usr/bin/env bash
# Checks that the rendered objects have valid fields, and comply with podgate's own rules.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

kubeconform=$($tools/tool.sh kubeconform)
schemas=$($tools/schemas.sh)
valid() { "$kubeconform" -schema-location "$schemas/{{.ResourceKind}}{{.KindSuffix}}.json" "$@"; }
rendered() { render "$1" >"$scratch/$1.yaml" && valid "$scratch/$1.yaml"; }
# Without a cluster the exit code is 3; with unknown arguments it is 2.
takes_arguments() {
  local arguments code=0
  mapfile -t arguments < <(sed -n '/^kind: Deployment$/,/^---$/{/^ *args:$/,/^ *env:$/s/^ *- //p}' "$scratch/$1.yaml" |
    sed 's/^"\(.*\)"$/\1/')
  KUBECONFIG=/nowhere timeout 20 "$podgate" "${arguments[@]}" || code=$?
  [ "$code" = 3 ] && [ "${#arguments[@]}" -gt 5 ]
}
for set in $all_sets; do
  passes "every object is valid ($set)" rendered "$set"
  passes "the pods pass the bundle restricted ($set)" \
    "$podgate" scan -f "$scratch/$set.yaml" --bundle restricted
  passes "podgate accepts the arguments of its pods ($set)" takes_arguments "$set"
done
# The real helm, run by podgate itself.
scanned() {
  local code=0
  echo 'skipApiChecks: true' >"$scratch/values.yaml"
  PATH=$(dirname "$1"):$PATH "$podgate" scan "$chart" -n podgate-system --bundle restricted \
    --helm-values "$scratch/values.yaml" -o json >"$scratch/scan.json" || return
  grep -q '"unrenderedCharts": 0' "$scratch/scan.json" && grep -q '"workloads": 2' "$scratch/scan.json" || return
  # A rule that the chart breaks is placed in its template.
  PATH=$(dirname "$1"):$PATH "$podgate" scan "$chart" -n shop --policy deploy/samples/rules/requireImageDigest.yaml \
    --helm-values "$scratch/values.yaml" -o json >"$scratch/scan.json" || code=$?
  [ "$code" = 1 ] && grep -q "\"file\": \"$chart/templates/deployment.yaml\"" "$scratch/scan.json"
}
passes "podgate scan renders the chart with Helm 3" scanned "$helm3"
passes "podgate scan renders the chart with Helm 4" scanned "$helm4"
# Kustomizations, values and Prometheus' rules are no objects, and there are no schemas of Argo CD and Flux.
passes "the examples for users are valid" valid -ignore-filename-pattern 'kustomization|values|\.rules\.yaml' \
  -skip Application,GitRepository,Kustomization deploy certs
samples() {
  local rule code
  for rule in $(sed -n 's/^## //p' docs/rules.md); do
    code=0
    "$podgate" scan -f deploy/samples/workloads/good-deployment.yaml --policy "deploy/samples/rules/$rule.yaml" || code=$?
    # 1 is a verdict; 2 is a policy that is invalid or missing.
    if [ "$code" -gt 1 ]; then return 1; fi
  done
}
passes "every rule has a valid sample" samples
passes "the chart accepts the values of certs/" eval '
  render defaults -f certs/provided/values.yaml && render defaults -f certs/cert-manager/values.yaml'

# Runs the commands of certs/README.md.
by_hand() {
  (cd "$scratch" && . <(sed -n 's/^\$ \(openssl .*\)/\1/p' "$OLDPWD/certs/README.md") &&
    openssl verify -CAfile ca.crt -purpose sslserver -verify_hostname podgate.podgate-system.svc tls.crt)
}
passes "the commands of certs/README.md create a valid certificate" by_hand
no_key() { ! grep -rlE 'PRIVATE KEY|tls\.key: *[A-Za-z0-9+/]{40}' certs charts deploy; }
passes "no private key is committed" no_key
finish
