#!/usr/bin/env bash
# Prints the path of a program, and installs its Debian package first if the program is missing:
# tests/tools/debian.sh PROGRAM PACKAGE, such as `promtool prometheus`.
#
# Services of the package are not started. Only the path goes to stdout.
set -euo pipefail

if [ $# -ne 2 ]; then
  echo "usage: debian.sh PROGRAM PACKAGE" >&2
  exit 2
fi
program=$1
package=$2
# Programs for administrators are not on every user's PATH.
PATH=$PATH:/usr/sbin:/sbin
if command -v "$program"; then
  exit 0
fi

by_hand="install it (on Debian and Ubuntu: apt-get install $package), so that '$program' is on the PATH"
if ! command -v apt-get >/dev/null; then
  echo "the tests need $program, which is missing, and there is no apt-get to install it with: $by_hand" >&2
  exit 3
fi
root=""
if [ "$(id -u)" != 0 ]; then
  if ! sudo -n true 2>/dev/null; then
    echo "the tests need $program, which is missing, and cannot install it (neither root nor sudo without a password): $by_hand" >&2
    exit 3
  fi
  root="sudo -n"
fi

say() { echo "$package: $*" >&2; }
say "installing the Debian package for $program; a minute or so"
# Packages run this script to ask whether they may start services; 101 means no.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  trap '$root rm -f "$policy"' EXIT
  printf '#!/bin/sh\nexit 101\n' | $root tee "$policy" >/dev/null
  $root chmod 755 "$policy"
fi
install() { $root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$package" >&2; }
if ! install; then
  say "the package lists may be old; updating them"
  $root apt-get update -q >&2
  if ! install; then
    echo "the tests need $program, and the package $package cannot be installed: see above, or $by_hand" >&2
    exit 3
  fi
fi
if ! command -v "$program"; then
  echo "the package $package is installed but has no $program: $by_hand" >&2
  exit 3
fi
