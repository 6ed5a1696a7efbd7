#!/usr/bin/env bash
# Checks that Helm 3 and Helm 4 accept the chart, and render the same objects.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

passes "Helm 3 finds no fault in the chart" "$helm3" lint --strict --quiet "$chart"
passes "Helm 4 finds no fault in the chart" "$helm4" lint --strict --quiet "$chart"
old() { ! "$helm4" template podgate "$chart" --kube-version 1.28.15; }
passes "the chart refuses Kubernetes 1.28" old
for version in 1.29.0 1.30.4-gke.1348000 1.36.3; do
  passes "the chart accepts Kubernetes $version" "$helm4" template podgate "$chart" --kube-version "$version"
done
lines() { render "$@" | grep -v '^$' | sort; }
for set in $all_sets; do
  same() { diff <(HELM=$helm3 lines "$set") <(HELM=$helm4 lines "$set"); }
  passes "Helm 3 and Helm 4 render the same ($set)" same
done
finish
