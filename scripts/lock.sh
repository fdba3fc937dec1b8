#!/usr/bin/env bash
# Writes the .lock files from the .in files: exact versions and hashes, one file for every Python from 3.11 on.
# Versions already locked stay; `scripts/lock.sh --upgrade` takes the newest. Needs uv on the PATH (`pip install uv`).
set -euo pipefail
cd "$(dirname "$0")/.."

pin() { # pin OUTPUT ARGUMENT...
  uv pip compile --quiet --universal --python-version 3.11 --no-header --annotation-style line --output-file "$@"
}
lock() { pin "$@" --generate-hashes; }
lock requirements-build.lock requirements-build.in "$@"
lock requirements.lock requirements.in --constraint requirements-build.lock "$@"
# pip-audit and pip-tools ask for pip, of any version: the one that each environment has stays.
lock requirements-dev.lock requirements.in requirements-dev.in --constraint requirements.lock --no-emit-package pip "$@"
lock requirements-ship.lock requirements-ship.in "$@"
lock requirements-clients.lock requirements-clients.in --no-emit-package pip "$@"
lock requirements-azure.lock requirements-azure.in "$@"
lock docker/requirements-sbom.lock docker/requirements-sbom.in "$@"

# What PyTorch asks for where the index has its build for GPUs; without hashes, as PyTorch itself.
pin requirements-torch.lock requirements-torch.txt --constraint requirements.lock --constraint requirements-build.lock "$@"
for peer in azureml litserve mlflow mlserver mosec vetiver; do
  lock "benchmarks/peers/$peer.lock" "benchmarks/peers/$peer.in" --constraint requirements-torch.lock "$@"
done
