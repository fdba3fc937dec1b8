#!/usr/bin/env bash
# Brings .venv up to date: make-venv.sh [dev]. It is made anew when the locked versions, R, Python or the folder
# changed (rpy2 is compiled against one R), and left alone within milliseconds when they did not.
set -euo pipefail
cd "$(dirname "$0")/.."

venv=.venv
r_version=$(R --version | sed -n 1p)

locked() { scripts/pip.sh locked "$venv/bin/python" -qq "$@"; }
check() { scripts/pip.sh check "$venv/bin/python" >&2; }
stamp_is() { [[ $(cat "$venv/stamp-$1" 2>/dev/null) == "$2" ]]; }
stamp() { echo "$2" >"$venv/stamp-$1"; }
sum_of() { cat "$@" | sha256sum; }
runtime() { sum_of requirements-build.lock requirements.lock requirements-torch.* && echo "$r_version" && pwd && "$venv/bin/python" --version; }

exec 9>.venv.lock
flock 9 # of two makes at once the second waits, and finds the work done

if ! stamp_is runtime "$(runtime 2>/dev/null)"; then
  python=${PYTHON:-python3}
  "$python" -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Tandem needs Python 3.11 or newer.")'
  echo "Making $venv for $r_version"
  rm -rf "$venv"
  "$python" -m venv "$venv"
  locked -r requirements-build.lock
  # API: rpy2 must not fall back to its slower, uncompiled mode. No cache: a wheel built against another R lies there.
  RPY2_CFFI_MODE=API locked --no-cache-dir --no-build-isolation -r requirements.lock || {
    echo "If rpy2 is what failed: it could not be compiled against $r_version." >&2
    exit 1
  }
  scripts/pip.sh torch "$venv/bin/python" -qq
  check
  stamp runtime "$(runtime)"
fi

if [[ ${1:-} == dev ]] && ! stamp_is dev "$(sum_of requirements-dev.lock)"; then
  locked --no-build-isolation -r requirements-dev.lock
  check
  stamp dev "$(sum_of requirements-dev.lock)"
fi

if ! stamp_is project "$(sum_of pyproject.toml)"; then
  "$venv/bin/python" -m pip -qq --disable-pip-version-check install --no-index --no-deps --no-build-isolation --editable .
  stamp project "$(sum_of pyproject.toml)"
fi
