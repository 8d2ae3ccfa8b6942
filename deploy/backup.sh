#!/usr/bin/env bash
# deploy/backup.sh FOLDER: one more backup of the ledger in FOLDER, while gateways sell; those older than KEEP_DAYS go.
#
# The ledger is the one that the settings name. SQLite: FOLDER/panelmux-TIME.db, and its pepper where that is a file.
# PostgreSQL: FOLDER/panelmux-TIME.dump; pg_dump of the server's version or a newer one has to be there.
# Ends with 0 once the backup is whole, on the disk and readable; for cron and timers.
set -euo pipefail
umask 077 # what is in it opens accounts

if [[ $# -ne 1 ]]; then
    echo "usage: $0 FOLDER" >&2
    exit 2
fi
folder=$1
keep_days=${KEEP_DAYS:-14}
if [[ ! $keep_days =~ ^[0-9]+$ ]]; then
    echo "KEEP_DAYS: \"$keep_days\" is not a number of days" >&2
    exit 2
fi

ledger=${PANELMUX_LEDGER:-}
if [[ -z $ledger && -n ${PANELMUX_LEDGER_FILE:-} ]]; then
    ledger=$(<"$PANELMUX_LEDGER_FILE")
fi
ledger=${ledger:-sqlite:///panelmux.db}

mkdir -p "$folder"
stamp=$(date --utc +%Y%m%dT%H%M%SZ)

case $ledger in
sqlite:///*)
    kept=$folder/panelmux-$stamp.db
    told=$(panelmux ledger backup "$kept" --json)
    pepper=$(sed -n 's/.*"pepper": "\(.*\)".*/\1/p' <<<"$told")
    if [[ -z ${PANELMUX_PEPPER:-}${PANELMUX_PEPPER_FILE:-} ]]; then
        cp "$pepper" "$kept.pepper"
        sync "$kept.pepper"
    fi
    ;;
postgres://* | postgresql://*)
    kept=$folder/panelmux-$stamp.dump
    if [[ $ledger =~ ^([a-z]+://[^:/@]*):([^@/]*)@(.*)$ ]]; then # a password on a command line is seen by all
        ledger=${BASH_REMATCH[1]}@${BASH_REMATCH[3]}
        PGPASSWORD=$(printf '%b' "${BASH_REMATCH[2]//%/\\x}")
        export PGPASSWORD
    fi
    trap 'rm -f "$kept.part"' EXIT
    pg_dump --format=custom --no-owner --file="$kept.part" --dbname="$ledger"
    pg_restore --list "$kept.part" >/dev/null
    mv "$kept.part" "$kept"
    ;;
*)
    echo "PANELMUX_LEDGER is neither sqlite:/// nor postgresql://" >&2
    exit 3
    ;;
esac
(cd "$folder" && sha256sum "${kept##*/}" >"${kept##*/}.sha256")
sync "$kept" "$kept.sha256" "$folder"

find "$folder" -maxdepth 1 -type f -name 'panelmux-*Z.*' -mtime "+$keep_days" -delete
echo "$kept"
