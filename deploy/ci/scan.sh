#!/usr/bin/env bash
# The scan of the GitHub action (action.yml): annotations, the job's summary, a SARIF file and outputs. Its inputs are
# the environment variables below; lists have an item on each line. Where there is a report it exits with 0, and writes
# podgate's exit code to the outputs, so that the next steps run whatever was found.
set -euo pipefail

podgate=${PODGATE:-podgate}
words=(scan)
# each FLAG LIST: the flag for every item. The form --FLAG=ITEM keeps an item from being a flag of its own.
each() {
  local item
  while IFS= read -r item; do
    item=${item%$'\r'}
    [ -z "$item" ] || words+=("--$1=$item")
  done <<<"$2"
}
each policy "${POLICY:-}"
each bundle "${BUNDLE:-}"
[ "${LIVE:-false}" != true ] || words+=(--live)
each namespace "${NAMESPACE:-}"
each helm-values "${HELM_VALUES:-}"
each baseline "${BASELINE:-}"
each exclude "${EXCLUDE:-}"
each render "${RENDER:-}"
paths=()
while IFS= read -r item; do
  item=${item%$'\r'}
  [ -z "$item" ] || paths+=("$item")
done <<<"${PATHS:-}"
[ ${#paths[@]} -gt 0 ] || paths=(.)
gate=("--fail-on=${FAIL_ON:-low}")
[ -z "${MIN_SCORE:-}" ] || gate+=("--min-score=$MIN_SCORE")

folder=$(mktemp -d "${RUNNER_TEMP:-/tmp}/podgate.XXXXXX")
# The runner obeys a line that begins with :: or contains ##[, and stderr has names of files.
tell() { sed 's/##\[/# #[/g; s/^/podgate| /' "$folder/stderr" >&2; }

code=0
"$podgate" "${words[@]}" "${gate[@]}" -o github -- "${paths[@]}" 2>"$folder/stderr" || code=$?
tell
# The same report in other forms. Only the first run decides, and says what it could not read.
for format in json markdown sarif; do
  "$podgate" "${words[@]}" --fail-on=never -o "$format" --output-file "$folder/podgate.$format" -- "${paths[@]}" \
    2>"$folder/stderr" || [ -s "$folder/podgate.$format" ] || {
    [ "$code" -ne 0 ] || tell
    exit "$((code > 0 ? code : 3))"
  }
done
cat "$folder/podgate.markdown" >>"$GITHUB_STEP_SUMMARY"
# The summary's fields are the only ones of these names at this depth.
number() { sed -n "s/^    \"$1\": \([0-9]*\),\{0,1\}\$/\1/p" "$folder/podgate.json"; }
{
  echo "exit-code=$code"
  echo "score=$(number score)"
  echo "violations=$(number violations)"
  echo "sarif=$folder/podgate.sarif"
} >>"$GITHUB_OUTPUT"
