#!/usr/bin/env bash
# Installs the Debian packages that are missing: install-system.sh GROUP..., a group being run, test, ship or bench.
# As root, or through sudo where it asks for no password; otherwise it says what an administrator must run and stops.
set -euo pipefail

packages_of() {
  case "$1" in
    run)
      # r-base-dev: rpy2 is compiled against the installed R. libblas3, liblapack3: the reference BLAS, with which a
      # row predicted in a batch equals the same row predicted alone to the last bit; OpenBLAS breaks that.
      # libseccomp2: the sandbox of what runs models. libpq5: accounts in a PostgreSQL.
      echo r-base-core r-base-dev r-recommended r-cran-randomforest r-cran-ranger libblas3 liblapack3 libseccomp2 libpq5
      # A Python that is not Debian's (pyenv, an image) brings its own venv and headers.
      case "$(readlink -f "$(command -v "${PYTHON:-python3}" || echo /usr/bin/python3)")" in
        /usr/bin/*) echo python3 python3-venv python3-dev ;;
      esac
      ;;
    test)
      echo r-cran-testthat r-cran-lintr r-cran-httr r-cran-httr2 prometheus curl # prometheus: promtool
      echo postgresql # for accounts that servers share; the tests run one of their own
      echo r-cran-rcppparallel # It starts a program while it is loaded.
      # One for each model class that is compared with plain R and does not come with R.
      echo r-cran-e1071 r-cran-kernlab r-cran-lme4 r-cran-partykit r-cran-caret r-cran-recipes r-cran-forecast
      echo r-cran-glmnet r-cran-quantreg r-cran-pls r-cran-earth r-cran-coin
      echo r-cran-glmmtmb r-cran-rms r-cran-aer r-cran-segmented
      echo r-cran-vgam r-cran-mlr r-cran-prophet # 33 MB more to download, 18 of them prophet's, which needs rstan
      ! grep -qs '^VERSION_ID="12"' /etc/os-release || echo r-cran-gbm # Debian 13 has none
      ;;
    ship)
      # Containers (runc: crun cannot be used in a hybrid cgroup), the base image, a gateway, a certificate authority.
      echo podman buildah runc conmon netavark aardvark-dns iptables catatonit uidmap debootstrap
      echo nginx-light pebble certbot openssl
      # kubectl with kustomize 5 (Debian 12's is too old: bring your own), npm for the schemas of custom resources and
      # for the identity provider that tests sign in with.
      command -v kubectl >/dev/null || echo kubernetes-client
      command -v npm >/dev/null || echo npm
      echo chromium # signs in, and tries what pages of other sites could do
      echo hydra # guesses passwords
      ;;
    bench) echo wrk r-cran-plumber ;;
    *) echo "install-system.sh: unknown group: $1" >&2; exit 2 ;;
  esac
}

command -v apt-get >/dev/null || { echo "Set-up needs Debian's apt-get, which is not here." >&2; exit 1; }

wanted=()
for group in "$@"; do
  mapfile -t -O "${#wanted[@]}" wanted < <(packages_of "$group" | tr ' ' '\n')
done

missing=()
installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "${wanted[@]}" 2>/dev/null || true)
for package in "${wanted[@]}"; do
  grep -qx "installed $package" <<<"$installed" || missing+=("$package")
done

if ((${#missing[@]})); then
  install=(apt-get install -y --no-install-recommends "${missing[@]}")
  if ((EUID == 0)); then
    as_root=()
  elif sudo -n true 2>/dev/null; then
    as_root=(sudo -n)
  else
    echo "These Debian packages are missing, and this user is neither root nor has sudo without a password." >&2
    echo "An administrator must run, as root:" >&2
    echo >&2
    echo "    apt-get update && DEBIAN_FRONTEND=noninteractive ${install[*]}" >&2
    exit 1
  fi
  step() { k=$1 && shift && "$(dirname "$0")/step.sh" "Debian packages" "$k" 2 "$@"; }
  step 1 "the lists of what there is (about 15 s)" "${as_root[@]}" apt-get -q update
  step 2 "${missing[*]} and what they ask for (1 to 5 min)" \
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive "${install[@]}" -q -o DPkg::Lock::Timeout=300
  # Debian starts and enables what it installs; of these only the programs are wanted.
  for service in prometheus postgresql; do
    if [[ " ${missing[*]} " == *" $service "* && -d /run/systemd/system ]]; then
      "${as_root[@]}" systemctl --quiet disable --now "$service"
    fi
  done
fi

for blas in /usr/lib/*/libblas.so.3; do
  if [[ -e $blas && $(readlink -f "$blas") != */blas/libblas.so.* ]]; then
    name=libblas.so.3-$(basename "$(dirname "$blas")")
    echo "R uses $(readlink -f "$blas"), not the reference BLAS: answers may differ in the last bit between batches." >&2
    echo "To change that for the whole machine: update-alternatives --config $name (as root)" >&2
  fi
done
