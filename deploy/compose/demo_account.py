"""Makes the account that the first start shows, and prints its key, once; does nothing where the account is there."""

import json
import subprocess
import sys

_NAME = "demo"


def main() -> int:
    """Ask for the accounts, and make ours where it lacks; gives the exit code of what failed, or 0."""
    listed = subprocess.run(["panelmux", "account", "list", "--json"], capture_output=True, text=True, check=False)  # noqa: S607 - the image's own program
    if listed.returncode == 0 and any(account["account"] == _NAME for account in json.loads(listed.stdout)):
        sys.stdout.write(f"the account {_NAME} is there; panelmux key create {_NAME} makes a further key\n")
        return 0
    words = ["panelmux", "account", "create", _NAME, "--balance", "100"]
    return subprocess.run(words, check=False).returncode  # noqa: S603 - our own words


if __name__ == "__main__":
    sys.exit(main())
