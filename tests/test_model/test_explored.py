"""The gateway's own policy reaches nothing bad, and every broken one does."""

import pytest

from tests.test_model.explored import Policy, explore

MUTANTS = {
    "a time-out counts as a no": (Policy(timeout_is_no=True), "bought"),
    "sent before it is written": (Policy(writes_first=False), "bought twice"),
    "a start sends again what was being sent": (Policy(recovery_sends_again=True), "bought twice"),
    "a time-out is sent again": (Policy(retries_timeouts=True), "bought twice"),
    "evidence is believed before it can be had": (Policy(waits_to_settle=False), "bought"),
    "what waited is sent twice": (Policy(sends_once=False), "bought twice"),
    "what was sent is given up as if it waited": (Policy(waits_for_nobody=False), "bought, and charged nothing"),
    "a rest is bought beside the order": (Policy(tells_passed_on=False), "two live attempts"),
    "what is given back for a part is not heard of": (Policy(hears_late=False), "charged for more than was made"),
}


def test_all_ways_of_an_order_end_well() -> None:
    states, edges, wrong = explore(Policy())
    assert wrong == []
    assert states > 400, "so few states prove little"
    assert edges > states
    print(states, "states,", edges, "steps")


def test_without_the_ids_kept_aside_evidence_still_ends_it_well() -> None:
    _, _, wrong = explore(Policy(replays_spill=False))
    assert wrong == []


@pytest.mark.parametrize("name", MUTANTS)
def test_every_broken_way_is_found_out(name: str) -> None:
    policy, what = MUTANTS[name]
    _, _, wrong = explore(policy)
    assert any(what in why for why, _ in wrong), wrong[:3]
    why, way = min(wrong, key=lambda one: len(one[1]))
    print(len(wrong), "bad states; the nearest:", why, "by", " → ".join(way))
