#!/usr/bin/env bash
# Puts the accounts and the key that signs tokens into the key vault. Neither is shown, nor on any command line.
#   3-secrets.sh [FILE]   FILE holds the accounts, one a line; by default the file `accounts` beside this script
# Where accounts are in a PostgreSQL, a file `database.url` beside this script has its address, and there is no FILE.
# shellcheck source=common.sh
source "$(dirname "$0")/common.sh"

accounts=${1:-$here/accounts}
copies=$(mktemp -d)
trap 'rm -rf "$copies"' EXIT

patiently az keyvault secret list --vault-name "$vault"

# put NAME FILE: a new version of the secret, unless it says the same already.
put() {
  if ! absent az keyvault secret show --vault-name "$vault" --name "$1"; then
    az keyvault secret download --vault-name "$vault" --name "$1" --file "$copies/$1" --encoding utf-8 --overwrite
    ! cmp -s "$copies/$1" "$2" || return 0
  fi
  say "secret $1"
  az keyvault secret set --vault-name "$vault" --name "$1" --file "$2" --encoding utf-8
}

if [[ -s $here/database.url ]]; then
  put database-url "$here/database.url"
elif [[ -s $accounts ]]; then
  put accounts "$accounts"
elif absent az keyvault secret show --vault-name "$vault" --name accounts; then
  echo "Nobody could sign in. Write an account: tandem users hash ann --role analyst >> $accounts" >&2
  exit 1
fi

if absent az keyvault secret show --vault-name "$vault" --name token-key; then
  openssl rand -base64 48 >"$copies/new"
  put token-key "$copies/new"
fi
