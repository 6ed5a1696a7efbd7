#!/usr/bin/env bash
# Part of `make test-chart`: the rules of the chart are valid, and each alert fires when it should and not when it should
# not. promtool comes with the Debian package prometheus.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

promtool=$(../tools/debian.sh promtool prometheus)
"$promtool" check rules ../../charts/podgate/rules/*.yaml ../../deploy/prometheus/*.yaml
"$promtool" test rules ./*.test.yaml
