#!/usr/bin/env bash
# What the chart renders is valid, field by field, and keeps podgate's own rules.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

kubeconform=$($tools/tool.sh kubeconform)
schemas=$($tools/schemas.sh)
valid() { "$kubeconform" -schema-location "$schemas/{{.ResourceKind}}{{.KindSuffix}}.json" "$@"; }
rendered() { render "$1" >"$scratch/$1.yaml" && valid "$scratch/$1.yaml"; }
for set in $all_sets; do
  passes "every object is one that its API knows ($set)" rendered "$set"
  passes "its pods pass podgate's own bundle restricted ($set)" \
    "$podgate" scan -f "$scratch/$set.yaml" --bundle restricted
done
passes "so are the examples for users" valid -ignore-filename-pattern 'kustomization' deploy certs
finish
