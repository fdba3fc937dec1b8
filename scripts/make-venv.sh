#!/usr/bin/env bash
# Brings .venv up to date: make-venv.sh [dev]. It is made anew when the locked versions, R, Python or the folder
# changed (rpy2 is compiled against one R), and left alone within milliseconds when they did not.
set -euo pipefail
cd "$(dirname "$0")/.."

venv=.venv
r_version=$(R --version | sed -n 1p)

k=0 n=0
step() { scripts/step.sh "Python environment" $((++k)) "$n" "$@"; }
install() { step "$1" scripts/pip.sh locked "$venv/bin/python" --progress-bar off "${@:2}"; }
check() { step "is all there that they ask for? (about 5 s)" scripts/pip.sh check "$venv/bin/python"; }
count() { grep -c '^[a-z]' "$1"; }
stamp_is() { [[ $(cat "$venv/stamp-$1" 2>/dev/null) == "$2" ]]; }
stamp() { echo "$2" >"$venv/stamp-$1"; }
sum_of() { cat "$@" | sha256sum; }
runtime() { sum_of requirements-build.lock requirements.lock requirements-torch.* && echo "$r_version" && pwd && "$venv/bin/python" --version; }

exec 9>.venv.lock
flock 9 # of two makes at once the second waits, and finds the work done

lacks_runtime() { ! stamp_is runtime "$(runtime 2>/dev/null)"; }
lacks_dev() { [[ ${want:-} == dev ]] && ! stamp_is dev "$(sum_of requirements-dev.lock)"; }
lacks_project() { ! stamp_is project "$(sum_of pyproject.toml)"; }
want=${1:-}

if lacks_runtime; then
  n=6
  [[ $want != dev ]] || n=8
else
  ! lacks_dev || n=$((n + 2))
  ! lacks_project || n=$((n + 1))
fi

if lacks_runtime; then
  python=${PYTHON:-python3}
  "$python" -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Tandem needs Python 3.11 or newer.")'
  rm -rf "$venv"
  step "an empty one in $venv, for $("$python" --version) and ${r_version%% (*} (about 10 s)" "$python" -m venv "$venv"
  install "what builds packages (about 10 s)" -r requirements-build.lock
  # API: rpy2 must not fall back to its slower, uncompiled mode. No cache: a wheel built against another R lies there.
  RPY2_CFFI_MODE=API install "$(count requirements.lock) packages of requirements.lock, 200 MB; rpy2 is compiled (about 2 min)" \
    --no-cache-dir --no-build-isolation -r requirements.lock
  step "PyTorch, 200 MB, or 2.7 GB where the index has the build for GPUs (1 to 10 min)" \
    scripts/pip.sh torch "$venv/bin/python" --progress-bar off
  check
  stamp runtime "$(runtime)"
fi

if lacks_dev; then
  install "$(count requirements-dev.lock) packages of requirements-dev.lock, for the tests (about 2 min)" \
    --no-build-isolation -r requirements-dev.lock
  check
  stamp dev "$(sum_of requirements-dev.lock)"
fi

if lacks_project; then
  step "Tandem itself (about 5 s)" \
    "$venv/bin/python" -m pip --disable-pip-version-check install --no-index --no-deps --no-build-isolation --editable .
  stamp project "$(sum_of pyproject.toml)"
fi
