#!/usr/bin/env bash
# The one way in which Python packages are installed, here and in the images:
#
#   pip.sh locked PYTHON OPTION... -r LOCK...         what the locks name, as it stands there
#   pip.sh torch PYTHON [REQUIREMENT] [OPTION...]      PyTorch, in the build that the index has
#   pip.sh check PYTHON                               is there all that the installed packages ask for?
#
# Nothing is resolved. Left to itself, pip looks up `name[extra]`, which a package asks for, in the index, finds a
# release that is newer than the locked one, and stops: a lock would hold only until the next release of some package.
# Whether a lock was whole is asked afterwards, by `check`.
set -euo pipefail
cd "$(dirname "$0")/.."

pip() { "$python" -m pip --disable-pip-version-check --no-input "$@"; }

# Which build of PyTorch an index has differs by machine, and so does what the build asks for: nothing more, or CUDA.
# So it is installed without hashes, and pip may look: but only for versions that are locked.
pins() {
  local locks=(requirements-build.lock requirements.lock)
  ! grep -qxF "$1" requirements-torch.txt || locks+=(requirements-torch.lock)
  grep -hE '^[A-Za-z0-9._-]+==' "${locks[@]}" | sed -E 's/ *(\\|#.*)$//' | sort -u
}

command=$1 python=$2
shift 2
case "$command" in
  locked) pip install --no-deps --require-hashes "$@" ;;
  torch)
    [[ ${1:-} == torch* ]] || set -- "$(tail -n 1 requirements-torch.txt)" "$@"
    constraints=$(mktemp)
    trap 'rm -f "$constraints"' EXIT
    pins "$1" >"$constraints"
    pip install --constraint "$constraints" "$@"
    ;;
  check) pip check ;;
  *) echo "pip.sh: unknown command: $command" >&2; exit 2 ;;
esac
