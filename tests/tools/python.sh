#!/usr/bin/env bash
# Prints the path of a program from PyPI, and installs the packages of python.txt the first time:
# tests/tools/python.sh pre-commit|check-jsonschema|shellcheck
#
# They go into a virtual environment in the user's cache, under a key of its inputs. Only the path goes to stdout.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

if [ $# -ne 1 ]; then
  echo "usage: python.sh PROGRAM" >&2
  exit 2
fi
if ! python3 -c 'import venv, ensurepip' 2>/dev/null; then
  echo "$1 is installed with Python 3 and its module venv, which is missing (on Debian and Ubuntu: apt-get install python3-venv)" >&2
  exit 3
fi
key=$(cat python.txt <(python3 --version) | cksum | cut -d" " -f1)
folder="${XDG_CACHE_HOME:-$HOME/.cache}/podgate/tools/python-$key"
program="$folder/bin/$1"
if [ ! -e "$folder/ready" ]; then
  mkdir -p "$(dirname "$folder")"
  # Programs hold the path of their environment, so it is made in its place, by one at a time.
  exec 9>"$folder.lock"
  flock 9
  if [ ! -e "$folder/ready" ]; then
    echo "python: installing the packages of tests/tools/python.txt, once" >&2
    python3 -m venv --clear "$folder" >&2
    "$folder/bin/pip" install --quiet --disable-pip-version-check --requirement python.txt >&2
    touch "$folder/ready"
  fi
fi
if [ ! -x "$program" ]; then
  echo "no package of tests/tools/python.txt has the program $1" >&2
  exit 2
fi
echo "$program"
