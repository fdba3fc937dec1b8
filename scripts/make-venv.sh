#!/usr/bin/env bash
# Brings .venv up to date: make-venv.sh [dev]. It is made anew when the locked versions, R, Python or the folder
# changed (rpy2 is compiled against one R), and left alone within milliseconds when they did not.
set -euo pipefail
cd "$(dirname "$0")/.."

venv=.venv
r_version=$(R --version | sed -n 1p)

run_pip() { "$venv/bin/python" -m pip -qq --disable-pip-version-check --no-input "$@"; }
# A lock is whole: installed as it stands. pip would look up name[extra] of a dependency in the index, and stop at a
# release that is newer than the locked one.
pip_install() { run_pip install --no-deps "$@"; }
stamp_is() { [[ $(cat "$venv/stamp-$1" 2>/dev/null) == "$2" ]]; }
stamp() { echo "$2" >"$venv/stamp-$1"; }
sum_of() { cat "$@" | sha256sum; }
runtime() { sum_of requirements-build.lock requirements.lock requirements-torch.txt && echo "$r_version" && pwd && "$venv/bin/python" --version; }

exec 9>.venv.lock
flock 9 # of two makes at once the second waits, and finds the work done

if ! stamp_is runtime "$(runtime 2>/dev/null)"; then
  python=${PYTHON:-python3}
  "$python" -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Tandem needs Python 3.11 or newer.")'
  echo "Making $venv for $r_version"
  rm -rf "$venv"
  "$python" -m venv "$venv"
  pip_install --require-hashes -r requirements-build.lock
  # API: rpy2 must not fall back to its slower, uncompiled mode. No cache: a wheel built against another R lies there.
  RPY2_CFFI_MODE=API pip_install --no-cache-dir --no-build-isolation --require-hashes -r requirements.lock || {
    echo "If rpy2 is what failed: it could not be compiled against $r_version." >&2
    exit 1
  }
  run_pip install -r requirements-torch.txt # a GPU build asks for packages that are in no lock
  run_pip check
  stamp runtime "$(runtime)"
fi

if [[ ${1:-} == dev ]] && ! stamp_is dev "$(sum_of requirements-dev.lock)"; then
  pip_install --no-build-isolation --require-hashes -r requirements-dev.lock
  run_pip check
  stamp dev "$(sum_of requirements-dev.lock)"
fi

if ! stamp_is project "$(sum_of pyproject.toml)"; then
  pip_install --no-index --no-build-isolation --editable .
  stamp project "$(sum_of pyproject.toml)"
fi
