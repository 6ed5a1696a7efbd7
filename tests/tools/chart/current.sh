#!/usr/bin/env bash
# Checks that generated files are current, and that copies are equal. UPDATE=1 writes the generated files: `make
# chart-docs`.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

(cd $tools/chart && go build -o "$scratch/chart" .)
canonical() { "$scratch/chart" canonical "$@"; }
# generated FILE: compares FILE with stdin, or writes stdin to FILE.
generated() {
  cat >"$scratch/new"
  if [ -n "${UPDATE:-}" ]; then
    cp "$scratch/new" "$1"
  elif ! diff -u "$1" "$scratch/new"; then
    echo "$1 is not current; run: make chart-docs"
    return 1
  fi
}

readme() { "$scratch/chart" readme "$chart/README.md" "$chart/values.yaml" | generated "$chart/README.md"; }
passes "the chart's README has the values and comments of values.yaml" readme

crds() {
  "$podgate" crd generate >"$scratch/crds.yaml"
  render defaults >"$scratch/rendered.yaml"
  diff -u <(canonical "$scratch/crds.yaml" CustomResourceDefinition) <(canonical "$scratch/rendered.yaml" CustomResourceDefinition)
}
passes "the rendered CRDs equal podgate crd generate" crds

# webhooks SET ARGUMENT...: compares the rendered webhooks with podgate webhook config with these arguments.
webhooks() {
  local set=$1 kinds="MutatingWebhookConfiguration ValidatingWebhookConfiguration"
  shift
  "$podgate" webhook config "$@" >"$scratch/config.yaml"
  # podgate webhook config has no flag for the timeout.
  render "$set" --set webhook.timeoutSeconds=3 >"$scratch/rendered.yaml"
  # The kinds are words on purpose.
  # shellcheck disable=SC2086
  diff -u <(canonical "$scratch/config.yaml" $kinds) <(canonical "$scratch/rendered.yaml" $kinds)
}
passes "the webhooks equal podgate webhook config" webhooks defaults --service podgate-system/podgate
passes "the webhooks are equal with failurePolicy Fail" webhooks ha --service podgate-system/podgate --failure-policy Fail
passes "the webhooks are equal with protected namespaces and another port" webhooks everything --service podgate-system/podgate:8443 \
  --failure-policy Fail --protected-namespace cni --protected-namespace storage \
  --match-condition "not-by-nodes=!('system:nodes' in request.userInfo.groups)"

install() {
  {
    cat <<'EOF'
# podgate with the chart's defaults, for kubectl. `make chart-docs` generates this file from charts/podgate.
#
#   kubectl apply --server-side -f install.yaml
#
# `kubectl delete -f install.yaml` also deletes the CRDs, and with them every policy.
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
    # Without the labels of Helm, which does not manage this installation.
    render defaults --skip-tests --set crds.keep=false |
      sed -e '/^ *app.kubernetes.io\/managed-by: Helm$/d' -e '/^ *helm.sh\/chart: /d' -e '/^# Source: /d'
  } | generated deploy/install.yaml
}
passes "deploy/install.yaml equals the chart with its defaults" install
finish
