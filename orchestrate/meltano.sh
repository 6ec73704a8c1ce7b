#!/usr/bin/env bash
# Runs a Meltano command with a working folder of its own. In the common one, two runs of a plugin at the same time
# overwrite each other's catalog. Plugins and database stay the project's.
set -euo pipefail
cd "$MELTANO_PROJECT_ROOT"
mkdir -p .meltano
# An empty file is an empty SQLite database: a link needs something to lead to.
[ -e .meltano/meltano.db ] || touch .meltano/meltano.db
own="$(mktemp -d)"
trap 'rm -rf "$own"' EXIT
# Meltano is asked to end too, and the folder is there until it has.
trap : TERM
ln -s "$PWD"/.meltano/* "$own"/
rm -f "$own/run"
mkdir "$own/run"
export MELTANO_SYS_DIR_ROOT="$own"
"${MELTANO_EXECUTABLE:-meltano}" "$@"
