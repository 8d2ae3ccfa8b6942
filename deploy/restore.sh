#!/usr/bin/env bash
# deploy/restore.sh FILE [--yes]: put a backup that backup.sh made in the ledger's place. Every gateway must be stopped.
#
# What was there is kept: a file beside it, or a database called NAME_before_TIME. The ledger is the one that the
# settings name. SQLite: `panelmux ledger restore` does it, and opens again what cannot be known since.
#
# PostgreSQL: this puts the database back as it was, leaves out ids that may have been given since, and lays attempts that
# were open in it before people. It cannot tell the orders placed since the backup: it says so at its end, and ends with
# 5; with 1 where there is no panelmux, and the second half is left to people. To lose nothing at all, recover from a base backup and the WAL: deploy/README.md, "Restore".
set -euo pipefail
umask 077

if [[ $# -lt 1 || $# -gt 2 || ${2:---yes} != --yes ]]; then
    echo "usage: $0 FILE [--yes]" >&2
    exit 2
fi
kept=$1
yes=${2:-}

if [[ ! -r $kept ]]; then
    echo "$kept: no such backup" >&2
    exit 4
fi
if [[ -r $kept.sha256 ]]; then
    (cd "$(dirname "$kept")" && sha256sum --check --quiet "$(basename "$kept").sha256")
fi

ledger=${PANELMUX_LEDGER:-}
if [[ -z $ledger && -n ${PANELMUX_LEDGER_FILE:-} ]]; then
    ledger=$(<"$PANELMUX_LEDGER_FILE")
fi
ledger=${ledger:-sqlite:///panelmux.db}

case $ledger in
sqlite:///*)
    path=$(realpath --canonicalize-missing "${ledger#sqlite:///}")
    if [[ -r $kept.pepper && -z ${PANELMUX_PEPPER:-}${PANELMUX_PEPPER_FILE:-} ]]; then
        if [[ ! -e $path.pepper ]]; then
            mkdir -p "$(dirname "$path")"
            cp "$kept.pepper" "$path.pepper"
        elif ! cmp --silent "$kept.pepper" "$path.pepper"; then
            echo "$path.pepper is not the pepper that $kept was made with: move it away, then start again" >&2
            exit 3
        fi
    fi
    exec panelmux ledger restore "$kept" ${yes:+"$yes"}
    ;;
postgres://* | postgresql://*) ;;
*)
    echo "PANELMUX_LEDGER is neither sqlite:/// nor postgresql://" >&2
    exit 3
    ;;
esac

if [[ $ledger =~ ^([a-z]+://[^:/@]*):([^@/]*)@(.*)$ ]]; then # a password on a command line is seen by all
    ledger=${BASH_REMATCH[1]}@${BASH_REMATCH[3]}
    PGPASSWORD=$(printf '%b' "${BASH_REMATCH[2]//%/\\x}")
    export PGPASSWORD
fi
if [[ ! $ledger =~ ^([a-z]+://[^/]*)/([A-Za-z0-9_]+)(\?.*)?$ ]]; then
    echo "PANELMUX_LEDGER: the name of its database is needed, of letters, digits and _" >&2
    exit 3
fi
name=${BASH_REMATCH[2]}
server=${BASH_REMATCH[1]}
options=${BASH_REMATCH[3]:-}
at() { # the same server, another database
    echo "$server/$1$options"
}
ask() {
    psql --no-psqlrc --quiet --tuples-only --no-align --set=ON_ERROR_STOP=1 --dbname="$(at postgres)" --command="$1"
}

open=$(ask "SELECT count(*) FROM pg_stat_activity WHERE datname = '$name'")
if [[ $open -ne 0 ]]; then
    echo "$open sessions are open in $name: stop every gateway first" >&2
    exit 4
fi
there=$(ask "SELECT count(*) FROM pg_database WHERE datname = '$name'")
stamp=$(date --utc +%Y%m%dT%H%M%SZ | tr 'TZ' 'tz')
if [[ -z $yes ]]; then
    echo "$kept takes the place of the database $name, which is kept as ${name}_before_$stamp" >&2
    read -r -p "type $name to go on: " said
    if [[ $said != "$name" ]]; then
        echo "nothing was changed" >&2
        exit 1
    fi
fi

ask "CREATE DATABASE ${name}_restored_$stamp TEMPLATE template0"
pg_restore --exit-on-error --single-transaction --no-owner --dbname="$(at "${name}_restored_$stamp")" "$kept"
if [[ $there -ne 0 ]]; then
    ask "ALTER DATABASE $name RENAME TO ${name}_before_$stamp"
fi
ask "ALTER DATABASE ${name}_restored_$stamp RENAME TO $name"

if [[ -z $(type -P panelmux) ]]; then
    cat >&2 <<'SAID'
The database is as it was when the backup was made, and it is NOT to be sold from yet. There is no panelmux here: where
there is one, before a gateway starts, do panelmux ledger reopen. Else ids are given twice, and orders bought twice.
SAID
    exit 1
fi
panelmux ledger reopen --yes
cat >&2 <<'SAID'
The database is as it was when the backup was made. Ids that were given since are left out, and attempts that were open
then wait for people. Orders placed since are at the panels, and not here: deploy/README.md, "Restore".
SAID
exit 5
