#!/usr/bin/env bash
# Runs a Meltano command with a working folder of its own. In the common one, two runs of a plugin at the same time
# overwrite each other's catalog. Plugins and database stay the project's.
#
# The exit code is Meltano's, but where trying again would change nothing: 127 where there is no Meltano, 78 where there
# is no project, or where the log says that settings or credentials are wrong. Meltano itself ends with 1 for all of that.
set -euo pipefail
NO_PROJECT_OR_SETTINGS=78
NO_MELTANO=127
REFUSED="Invalid settings:|settings can't be right:|check .project_id. and .api_token."

project="${MELTANO_PROJECT_ROOT:-}"
meltano="${MELTANO_EXECUTABLE:-meltano}"
if [ ! -f "$project/meltano.yml" ]; then
  echo "There is no meltano.yml in '$project': set MELTANO_PROJECT_ROOT, where tasks run, to the folder of the Meltano project" >&2
  exit "$NO_PROJECT_OR_SETTINGS"
fi
cd "$project"
if ! command -v "$meltano" >/dev/null; then
  echo "$meltano: not found, or not executable; set MELTANO_EXECUTABLE, where tasks run, to the path of Meltano's command" >&2
  exit "$NO_MELTANO"
fi
mkdir -p .meltano
# An empty file is an empty SQLite database: a link needs something to lead to.
[ -e .meltano/meltano.db ] || touch .meltano/meltano.db
own="$(mktemp -d)"
refused="$(mktemp)"
trap 'rm -rf "$own" "$refused" "$refused.read"' EXIT
# Meltano is asked to end too, and the folder is there until it has.
trap : TERM
ln -s "$PWD"/.meltano/* "$own"/
rm -f "$own/run"
mkdir "$own/run"
export MELTANO_SYS_DIR_ROOT="$own"
# What reads the log ends after Meltano, not with it.
exec 4>"$refused"
exec 3> >(trap "" TERM INT; exec tee >(grep --line-buffered -E "$REFUSED" >&4 || true; : >"$refused.read") >&2)
code=0
"$meltano" "$@" 2>&3 3>&- 4>&- || code=$?
exec 3>&-
if [ "$code" = 1 ]; then
  for _ in {1..50}; do
    [ -s "$refused" ] || [ -e "$refused.read" ] && break
    sleep 0.1
  done
  [ -s "$refused" ] && exit "$NO_PROJECT_OR_SETTINGS"
fi
exit "$code"
