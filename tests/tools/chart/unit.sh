#!/usr/bin/env bash
# Runs charts/podgate/tests with helm-unittest.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

"$($tools/tool.sh helm-unittest)" --strict "$@" "$chart"
