#!/usr/bin/env bash
# Both Helms accept the chart, and render the same of it.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

passes "Helm 3 finds no fault in the chart" "$helm3" lint --strict --quiet "$chart"
passes "Helm 4 finds no fault in the chart" "$helm4" lint --strict --quiet "$chart"
lines() { render "$@" | grep -v '^$' | sort; }
for set in $all_sets; do
  same() { diff <(HELM=$helm3 lines "$set") <(HELM=$helm4 lines "$set"); }
  passes "Helm 3 and Helm 4 render the same ($set)" same
done
finish
