#!/usr/bin/env bash
# The suites of charts/podgate/tests, by helm-unittest.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

"$($tools/tool.sh helm-unittest)" --strict "$@" "$chart"
