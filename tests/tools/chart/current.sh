#!/usr/bin/env bash
# What is generated is current, and what is written twice is the same. With
# UPDATE=1 what is generated is written anew: `make chart-docs`.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

(cd $tools/chart && go build -o "$scratch/chart" .)
canonical() { "$scratch/chart" canonical "$@"; }
# generated FILE: compares it with what is on stdin, or writes it.
generated() {
  cat >"$scratch/new"
  if [ -n "${UPDATE:-}" ]; then
    cp "$scratch/new" "$1"
  elif ! diff -u "$1" "$scratch/new"; then
    echo "$1 is not current: make chart-docs"
    return 1
  fi
}

readme() { "$scratch/chart" readme "$chart/README.md" "$chart/values.yaml" | generated "$chart/README.md"; }
passes "the chart's README has every value as values.yaml explains it" readme

definitions() {
  "$podgate" crd generate | awk -v folder="$scratch" '
    /^---$/ { n++; next }
    { print > (folder "/crd" n) }'
  local crd
  for crd in "$scratch"/crd[0-9]*; do
    generated "$chart/definitions/$(sed -n 's/^  name: //p;/^spec:/q' "$crd").yaml" <"$crd" || return 1
  done
  [ "$(ls "$scratch"/crd[0-9]* | wc -l)" = "$(ls "$chart"/definitions | wc -l)" ]
}
passes "the chart's CRDs are those of podgate crd generate" definitions
crds() {
  "$podgate" crd generate >"$scratch/crds.yaml"
  render defaults >"$scratch/rendered.yaml"
  diff -u <(canonical "$scratch/crds.yaml" CustomResourceDefinition) <(canonical "$scratch/rendered.yaml" CustomResourceDefinition)
}
passes "and so they are rendered" crds

# webhooks SET ARGUMENT...: what the chart renders, and podgate webhook config prints by these arguments.
webhooks() {
  local set=$1 kinds="MutatingWebhookConfiguration ValidatingWebhookConfiguration"
  shift
  "$podgate" webhook config "$@" >"$scratch/config.yaml"
  # What podgate webhook config has no flag for.
  render "$set" --set webhook.timeoutSeconds=3 >"$scratch/rendered.yaml"
  # The kinds are words on purpose.
  # shellcheck disable=SC2086
  diff -u <(canonical "$scratch/config.yaml" $kinds) <(canonical "$scratch/rendered.yaml" $kinds)
}
passes "the webhooks are those of podgate webhook config" webhooks defaults --service podgate-system/podgate
passes "with failurePolicy Fail too" webhooks ha --service podgate-system/podgate --failure-policy Fail
passes "and with protected namespaces and another port" webhooks everything --service podgate-system/podgate:8443 \
  --failure-policy Fail --protected-namespace cni --protected-namespace storage \
  --match-condition "not-by-nodes=!('system:nodes' in request.userInfo.groups)"

install() {
  {
    cat <<'EOF'
# podgate with the chart's defaults, for kubectl. Made from charts/podgate by `make chart-docs`.
#
#   kubectl apply -f install.yaml
#
# `kubectl delete -f install.yaml` takes the CRDs along, and with them every policy.
apiVersion: v1
kind: Namespace
metadata:
  name: podgate-system
  labels:
    app.kubernetes.io/part-of: podgate
    pod-security.kubernetes.io/enforce: restricted
    pod-security.kubernetes.io/audit: restricted
    pod-security.kubernetes.io/warn: restricted
EOF
    # Helm does not manage this one.
    render defaults --skip-tests --set crds.keep=false |
      sed -e '/^ *app.kubernetes.io\/managed-by: Helm$/d' -e '/^ *helm.sh\/chart: /d' -e '/^# Source: /d'
  } | generated deploy/install.yaml
}
passes "deploy/install.yaml is the chart with its defaults" install
finish
