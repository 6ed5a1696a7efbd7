#!/usr/bin/env bash
# What the chart renders is valid, field by field, and keeps podgate's own rules.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

kubeconform=$($tools/tool.sh kubeconform)
schemas=$($tools/schemas.sh)
valid() { "$kubeconform" -schema-location "$schemas/{{.ResourceKind}}{{.KindSuffix}}.json" "$@"; }
rendered() { render "$1" >"$scratch/$1.yaml" && valid "$scratch/$1.yaml"; }
# Without a cluster that is exit code 3; arguments that it does not know are 2.
takes_arguments() {
  local arguments code=0
  mapfile -t arguments < <(sed -n '/^kind: Deployment$/,/^---$/{/^ *args:$/,/^ *env:$/s/^ *- //p}' "$scratch/$1.yaml" |
    sed 's/^"\(.*\)"$/\1/')
  KUBECONFIG=/nowhere timeout 20 "$podgate" "${arguments[@]}" || code=$?
  [ "$code" = 3 ] && [ "${#arguments[@]}" -gt 5 ]
}
for set in $all_sets; do
  passes "every object is one that its API knows ($set)" rendered "$set"
  passes "its pods pass podgate's own bundle restricted ($set)" \
    "$podgate" scan -f "$scratch/$set.yaml" --bundle restricted
  passes "podgate takes the arguments of its pods ($set)" takes_arguments "$set"
done
# A kustomization and values are no objects; the schemas of Argo CD's and Flux's own come with neither.
passes "so are the examples for users" valid -ignore-filename-pattern 'kustomization|values' \
  -skip Application,GitRepository,Kustomization deploy certs
samples() {
  local rule code
  for rule in $(sed -n 's/^## //p' docs/rules.md); do
    code=0
    "$podgate" scan -f deploy/samples/workloads/good-deployment.yaml --policy "deploy/samples/rules/$rule.yaml" || code=$?
    # 1 is a verdict; 2 a policy that podgate does not take, or that is not there.
    if [ "$code" -gt 1 ]; then return 1; fi
  done
}
passes "every rule has a sample, and podgate takes it" samples
passes "the examples of certificates are values of the chart" eval '
  render defaults -f certs/provided/values.yaml && render defaults -f certs/cert-manager/values.yaml'

# The commands of certs/README.md, as they are there.
by_hand() {
  (cd "$scratch" && . <(sed -n 's/^\$ \(openssl .*\)/\1/p' "$OLDPWD/certs/README.md") &&
    openssl verify -CAfile ca.crt -purpose sslserver -verify_hostname podgate.podgate-system.svc tls.crt)
}
passes "openssl makes a certificate for podgate by the commands of certs/README.md" by_hand
no_key() { ! grep -rlE 'PRIVATE KEY|tls\.key: *[A-Za-z0-9+/]{40}' certs charts deploy; }
passes "no key lies about" no_key
finish
