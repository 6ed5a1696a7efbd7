# The checks in this folder source it: paths, sets of values, and the report of results.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../../.."

tools=tests/tools
chart=charts/podgate
helm4=$($tools/tool.sh helm4)
helm3=$($tools/tool.sh helm3)
# make sets PODGATE. The default is this checkout's build.
podgate=${PODGATE:-${CARGO_TARGET_DIR:-target}/debug/podgate}
if [ ! -x "$podgate" ]; then
  echo "the checks of the chart run podgate, and $podgate does not exist: run make chart-static, or set PODGATE" >&2
  exit 3
fi
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

failures=0
# passes WHAT COMMAND...: runs COMMAND, and shows its output only if it fails.
passes() {
  local what=$1
  shift
  if "$@" >"$scratch/out" 2>&1; then
    echo "ok       $what"
  else
    echo "FAILED   $what"
    sed 's/^/         /' "$scratch/out"
    failures=$((failures + 1))
  fi
}

finish() {
  if [ "$failures" -gt 0 ]; then
    echo "$failures checks of the chart failed" >&2
    exit 1
  fi
}

# The sets of values that the checks of manifests render: a name, and Helm's arguments.
all_sets="defaults ha cert-manager issuer provided everything"
declare -A sets=(
  [defaults]=""
  [ha]="-f $chart/values-ha.yaml"
  [cert-manager]="--set certificates.mode=cert-manager"
  [issuer]="--set certificates.mode=cert-manager,certificates.certManager.issuerRef.name=ours,certificates.certManager.issuerRef.kind=ClusterIssuer"
  [provided]="--set certificates.mode=provided,certificates.secretName=our-tls"
  [everything]="-f $tools/chart/everything.yaml"
)
# render NAME [ARGUMENT...]: renders a set, with Helm 4 or with $HELM.
render() {
  local name=$1
  shift
  # The sets are words on purpose.
  # shellcheck disable=SC2086
  "${HELM:-$helm4}" template podgate "$chart" -n podgate-system --set skipApiChecks=true ${sets[$name]} "$@"
}
