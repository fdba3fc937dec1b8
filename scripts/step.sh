#!/usr/bin/env bash
# Runs one step of setting up, and says what it does: step.sh PART K N WHAT COMMAND...
#
# It prints a line at the start and one every ten seconds, so that nobody takes a long step for a dead one. What the
# command prints goes into a file. If the command fails, its name, the cause in one line and the cure are printed.
set -euo pipefail

title="$1, step $2 of $3: $4"
shift 4
log=$(mktemp -t tandem-setup-XXXXXX.log)
every=${TANDEM_SETUP_TICK_S:-10}

tick() {
  local started=$SECONDS
  exec 8<> <(:) # reading from it, which nobody writes to, is a sleep that leaves no process behind
  while ! read -rt "$every" -u 8 && kill -0 $$ 2>/dev/null; do
    if [[ -t 1 ]]; then printf '\r  %d s' $((SECONDS - started)); else echo "  still at it after $((SECONDS - started)) s"; fi
  done
}

# The lines of the log that tell a cause, from the one that tells most; then what to do about it.
causes() {
  local compile="Compilers or headers are missing: scripts/install-system.sh run installs those that Debian has."
  printf '%s\t%s\n' \
    'No space left on device|not enough free space|don.t have enough free space' \
    'Make room: all of it needs 3 GB on this disk, and 7 GB with the GPU build of PyTorch.' \
    'DO NOT MATCH THE HASHES' \
    'The index gave a file that is not the locked one. Empty the cache (pip cache purge); if it stays, ask who keeps the index.' \
    'CERTIFICATE_VERIFY_FAILED|certificate verify failed' \
    'Name your authority to pip (PIP_CERT) or to apt (Acquire::https::CAInfo), and see that the clock is right.' \
    'Release file.* is (not valid yet|expired)' \
    'Set the clock of this machine.' \
    'dpkg was interrupted' \
    'As root: dpkg --configure -a' \
    'Could not get lock|Unable to acquire the dpkg' \
    'Another installation is running: wait for its end.' \
    'Unable to locate package|has no installation candidate' \
    'The sources of apt lack it: Debian 12 or 13 with its component main is needed (/etc/apt/sources.list.d).' \
    'Temporary failure|Could not resolve|Name or service not known|Network is unreachable|Connection (timed out|refused)|NewConnectionError|NameResolutionError|ProxyError|ReadTimeoutError|Failed to fetch' \
    'Nothing answers there. Look at the network, the proxy (https_proxy), the index (pip config list) and the sources of apt.' \
    'No matching distribution found' \
    "The index (pip config list) has it not for this Python: $("${PYTHON:-python3}" --version 2>&1)." \
    'Failed (building wheel|to build)|fatal error: .*: No such file' \
    "$compile" \
    'requires .*, which is not installed|has requirement ' \
    'A lock is not whole: scripts/lock.sh makes it anew.' \
    'No module named (ensurepip|venv)|ensurepip is not' \
    'As root: apt-get install python3-venv' \
    'Permission denied' \
    'Something there belongs to another user, perhaps from a set-up as root: give it to yours (chown).'
}

explain() {
  local pattern remedy cause='' cure='Read what it printed.'
  while [[ -z $cause ]] && IFS=$'\t' read -r pattern remedy; do
    cause=$(grep -Em 1 -- "$pattern" "$log" || true)
    [[ -z $cause ]] || cure=$remedy
  done < <(causes)
  cause=${cause:-$(grep -E '^(E|ERROR|error|Error)\b' "$log" | tail -n 1 || true)}
  cause=${cause:-$(grep -v '^ *$' "$log" | tail -n 1 || true)}
  echo "Set-up stopped at $title"
  echo "  Cause: $(cut -c 1-300 <<<"${cause:-it ended with status $1 and said nothing}")"
  echo "  Cure: $cure Then run the same command again."
  echo "  All that it printed: $log"
}

echo "$title"
tick &
ticker=$!
trap 'kill $ticker 2>/dev/null; if [[ -t 1 ]]; then printf "\r\033[K"; fi' EXIT
status=0
"$@" >"$log" 2>&1 </dev/null || status=$?
if ((status)); then
  explain "$status" >&2
  exit "$status"
fi
rm "$log"
