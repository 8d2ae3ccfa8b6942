"""Whether a panel's new list may replace its last good one."""

from collections.abc import Collection

from providers.base import Services


def held_back(old: Collection[str], new: Services) -> str | None:
    """Why the new list is not taken, in words for people; None = it is taken.

    `old` is the ids of the last good list, empty where there is none. Panels answer an empty or a cut list when they
    are broken, and a list of rows nobody can read when they changed their program: what was sold a minute ago is
    then more likely to be true.

    >>> held_back([str(id) for id in range(10)], Services(rows=()))
    'the list is empty'
    """
    rows = len(new.rows)
    if rows == 0 and new.skipped:
        first = new.skipped[0]
        return f"none of {len(new.skipped)} rows can be used; {first.row}: {first.why}"
    if rows == 0:
        return "the list is empty"
    if 2 * rows < len(old):
        return f"{rows} rows, fewer than half of the last good list's {len(old)}"
    same = len({row.remote_service for row in new.rows}.intersection(old))
    if 2 * same < len(old):
        return f"{same} of the last good list's {len(old)} ids are still there, fewer than half"
    return None
