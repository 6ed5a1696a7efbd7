# Sourced by the checks beside it: where things are, and how to say what is wrong.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../../.."

tools=tests/tools
chart=charts/podgate
helm4=$($tools/tool.sh helm4)
helm3=$($tools/tool.sh helm3)
# Set by make; the build of this tree otherwise.
podgate=${PODGATE:-${CARGO_TARGET_DIR:-target}/debug/podgate}
if [ ! -x "$podgate" ]; then
  echo "the chart's checks ask podgate itself, and there is no $podgate: make chart-static builds it, or set PODGATE" >&2
  exit 3
fi
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

failures=0
# passes WHAT COMMAND...: runs it, and shows what it says only where it fails.
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
    echo "$failures of the chart's checks failed" >&2
    exit 1
  fi
}

# The sets of values that every check of manifests renders, as arguments of Helm by name.
all_sets="defaults ha cert-manager issuer provided everything"
declare -A sets=(
  [defaults]=""
  [ha]="-f $chart/values-ha.yaml"
  [cert-manager]="--set certificates.mode=cert-manager"
  [issuer]="--set certificates.mode=cert-manager,certificates.certManager.issuerRef.name=ours,certificates.certManager.issuerRef.kind=ClusterIssuer"
  [provided]="--set certificates.mode=provided,certificates.secretName=our-tls"
  [everything]="-f $tools/chart/everything.yaml"
)
# render NAME [ARGUMENT...]: that set, by Helm 4 unless HELM says otherwise.
render() {
  local name=$1
  shift
  # The sets are words on purpose.
  # shellcheck disable=SC2086
  "${HELM:-$helm4}" template podgate "$chart" -n podgate-system --set skipApiChecks=true ${sets[$name]} "$@"
}
