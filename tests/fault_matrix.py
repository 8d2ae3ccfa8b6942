"""What can go wrong between a customer and a panel, one row each: where it is tested, or why it is not.

A row names tests as FILE::NAME below tests/, without their "test_". The tests named are looked up, so that a row
cannot outlive them.
"""

from typing import Final

import msgspec

_SENT: Final = "transport/faults::the_panel_may_have_acted_and_is_not_asked_again"
_UNKNOWN: Final = "orders::an_answer_that_proves_nothing_is_unknown_and_never_sent_again"
_FOUND: Final = "reconcile/verdicts::an_order_whose_answer_was_lost_is_found_among_the_ids_and_bound"
_GONE: Final = "reconcile/verdicts::an_order_that_never_arrived_is_bought_at_the_next_panel"
_BALANCE: Final = "reconcile/verdicts::the_balance_alone_tells_too"
_WORLDS: Final = "simulator/worlds::nothing_is_bought_twice_or_lost_or_judged_wrong"
_STATUSES: Final = "transport/statuses::a_status_proves_what_the_table_says_and_no_more"
_CRASH: Final = "crash::a_kill_at_any_await_of_placing_buys_nothing_twice_and_forgets_nothing"
_MACHINE: Final = "ledger/machine::any_order_of_calls_leaves_what_the_model_has"


class Row(msgspec.Struct, frozen=True):
    """A fault; the tests that meet it; or, without one, why there is none. `missing`: what is not built."""

    fault: str
    tests: tuple[str, ...] = ()
    missing: str = ""


MATRIX: Final[tuple[Row, ...]] = (
    # The way there.
    Row(
        "connection refused",
        ("transport/faults::nothing_left_when_nobody_listens", "orders::a_panel_that_is_down_is_passed_over"),
    ),
    Row(
        "name not found",
        (
            "transport/faults::nothing_left_when_the_name_is_not_known",
            "transport/faults::nothing_left_when_the_resolver_breaks",
        ),
    ),
    Row("name lookup hangs", ("transport/faults::nothing_left_when_the_lookup_hangs",)),
    Row("black hole", ("transport/faults::nothing_left_into_a_black_hole",)),
    Row(
        "no permit free",
        (
            "transport/calls::no_more_calls_are_under_way_than_permitted_and_the_others_wait_unsent",
            "pace::a_call_whose_turn_comes_too_late_is_not_sent",
        ),
    ),
    Row(
        "certificate of another, expired, self-signed",
        ("transport/addresses::nothing_leaves_towards_a_certificate_that_is_not_good",),
    ),
    Row(
        "handshake hangs, is reset, is closed",
        ("transport/addresses::nothing_left_when_the_handshake_comes_to_nothing",),
    ),
    Row("reset after accept", (_SENT,)),
    Row("closed after accept", (_SENT,)),
    Row("reset in the middle of the request", (_SENT,)),
    Row("done, closed before the answer", (_FOUND, _UNKNOWN, _WORLDS)),
    Row("done, reset before the answer", (_SENT, _FOUND, _WORLDS)),
    Row(
        "done, answered after the customer was",
        ("orders::the_customer_is_given_the_id_when_a_panel_takes_long_and_the_order_goes_on", _WORLDS),
    ),
    Row("accepted, never answered", (_SENT, "orders::a_stop_ends_what_is_still_on_its_way_as_unknown")),
    Row(
        "the wire cut and mended, delivered late",
        (
            "plugs::a_wire_that_is_cut_leaves_an_unknown_and_is_never_sent_again",
            "reconcile/verdicts::an_order_that_arrives_minutes_after_it_was_given_up_is_found_and_not_bought_again",
        ),
    ),
    Row("the same without a bound on what the kernel keeps", ("transport/addresses::a_socket_drops_what_is_given_up",)),
    # What comes back.
    Row("part of the headers", (_SENT,)),
    Row("no HTTP", (_SENT,)),
    Row("a body shorter than it said", (_SENT, "transport/faults::an_id_in_half_an_answer_is_kept_as_evidence")),
    Row(
        "cut without a sign",
        (
            "api_v2_provider/add::an_answer_cut_without_a_sign_of_it_leaves_the_order_unknown",
            "api_v2_provider/add::a_bare_number_that_may_be_cut_is_no_id",
        ),
    ),
    Row("bad chunk, corrupt gzip", (_SENT,)),
    Row("20 KB of one header, 500 headers", (_SENT,)),
    Row("redirect elsewhere", ("transport/statuses::a_redirect_is_not_followed_and_the_key_does_not_travel",)),
    Row(
        "redirect that keeps the body", ("transport/statuses::a_redirect_is_not_followed_and_the_key_does_not_travel",)
    ),
    Row("5xx, done", ("transport/faults::a_write_that_the_panel_may_have_done_is_sent_once", _FOUND, _WORLDS)),
    Row("5xx, not done", (_GONE, _BALANCE, _WORLDS)),
    Row("520, 522, 524 of Cloudflare", ("transport/statuses::cloudflares_other_statuses_leave_it_open",)),
    Row(
        "521, 523, 525, 526 of Cloudflare",
        ("transport/statuses::cloudflares_word_that_the_panel_was_not_reached_counts_from_cloudflare_only",),
    ),
    Row("challenge page", ("transport/statuses::a_challenge_page_is_a_refusal_at_the_edge",)),
    Row(
        "429",
        (
            "transport/statuses::429_asks_to_come_later",
            "failover::a_panel_that_asks_to_come_later_goes_to_the_next_offer",
        ),
    ),
    Row("maintenance page with 200", (_UNKNOWN, _WORLDS)),
    Row(
        "known words of refusal",
        (
            "api_v2_provider/add::a_known_no_is_found_in_any_envelope",
            "orders::where_every_panel_says_no_the_money_comes_back_and_the_words_are_definite",
        ),
    ),
    Row(
        "unknown words of refusal",
        ("api_v2_provider/add::an_answer_that_proves_nothing_leaves_the_order_unknown", _WORLDS),
    ),
    Row("an order and an error", ("api_v2_provider/named_orders::an_answer_that_names_an_order_is_never_a_no",)),
    Row("ids that are none", ("api_v2_provider/add::what_cannot_be_an_id_leaves_the_order_unknown",)),
    Row(
        "an id that another order has",
        (
            "orders::an_id_that_another_order_has_is_not_believed",
            "ledger/orders::a_remote_id_that_another_attempt_has_changes_nothing",
        ),
    ),
    Row("the answer of another call", ("storm::2000_orders_through_a_storm_are_bought_once_or_known_to_be_open",)),
    # Ourselves.
    Row("kill -9 anywhere", (_CRASH, "plugs::an_id_that_the_ledger_cannot_take_is_kept_beside_it", _WORLDS)),
    Row(
        "SIGTERM while orders are bought",
        (
            "server::after_one_signal_everything_has_drain_s_in_all",
            "orders::an_outcome_that_is_being_written_when_a_stop_cuts_is_written_all_the_same",
        ),
    ),
    Row("the customer's call is cut", ("orders::a_customer_who_hangs_up_has_bought_all_the_same",)),
    Row(
        "a customer leaves in the middle of the request",
        ("edge::a_client_that_leaves_in_the_middle_of_its_body_changes_nothing",),
    ),
    Row(
        "a customer leaves before the answer",
        ("repeats::who_left_before_the_answer_and_asks_again_gets_the_same_order",),
    ),
    Row("the ledger is locked when an id comes", ("plugs::an_id_that_the_ledger_cannot_take_is_kept_beside_it",)),
    Row(
        "the ledger is down before anything is sent",
        ("orders::a_ledger_that_cannot_write_buys_nothing", "app::it_is_not_ready_while_the_ledger_cannot_be_written"),
    ),
    Row(
        "the commit of an intent is lost",
        (
            "ledger_sqlite/commits::a_group_that_a_fault_breaks_is_lost_whole",
            "orders::a_ledger_that_cannot_write_buys_nothing",
        ),
    ),
    Row(
        "the commit of an id is lost",
        (
            "orders::an_id_is_held_on_to_whatever_the_ledger_breaks_by",
            "orders::an_outcome_that_is_settled_already_is_left_as_it_is",
        ),
    ),
    Row(
        "disk full",
        (
            "plugs::an_id_that_the_ledger_cannot_take_is_kept_beside_it",
            "plugs::it_is_not_ready_while_nothing_can_be_written_and_is_again_once_it_can",
            "ledger_sqlite/commits::on_a_full_disk_the_ledger_is_busy_and_keeps_nothing",
        ),
    ),
    Row(
        "power lost",
        ("ledger_sqlite/opening::every_commit_is_on_disk_before_it_is_answered",),
        "pages that never reached the disk are not emulated: that each commit waits for the disk is what is tested",
    ),
    Row(
        "an old backup is put back",
        (
            "plugs::a_backup_that_is_put_back_buys_nothing_again",
            "ledger_sqlite/backup::a_backup_that_is_put_back_gives_no_id_again_and_buys_nothing_again",
        ),
    ),
    Row(
        "two processes sell",
        (
            "app::two_programs_do_not_sell_from_one_ledger",
            "plugs::a_process_that_was_overtaken_while_it_slept_sends_nothing",
            "ledger/unknown::a_process_that_was_overtaken_sends_nothing_and_writes_what_it_learned",
        ),
    ),
    Row("asleep between the intent and the order", ("plugs::a_process_that_slept_too_long_sends_nothing",)),
    Row(
        "the wall's clock jumps",
        (
            "reconcile/verdicts::a_clock_that_is_put_forward_makes_no_verdict_early",
            "pace::a_clock_that_jumps_back_sends_nothing_too_many",
        ),
    ),
    Row(
        "Redis is down, slow, a black hole",
        (
            "shared/outage::a_killed_server_looks_like_an_empty_one",
            "shared/outage::a_server_that_stands_still_is_waited_for_once",
            "shared/places::a_new_primary_is_found_after_the_old_one_died",
            "shared/places::a_cluster_that_lacks_a_part_is_lost_until_it_is_whole",
            "shared/turns::a_store_that_is_back_and_empty_lets_nothing_more_through",
            "circuits::nodes_go_on_each_by_itself_when_it_is_lost_and_together_when_it_is_back",
            "sharing::orders_go_on_and_limits_hold_whatever_becomes_of_it",
            "app::redis_takes_the_catalogue_and_its_loss_stops_nothing",
        ),
    ),
    Row(
        "Redis answers, and the answer is lost",
        (
            "shared/outage::a_reply_that_comes_too_late_is_nobody_elses",
            "shared/turns::what_could_not_be_told_is_told_later",
        ),
    ),
    Row(
        "Redis is emptied",
        (
            "catalog/sync::what_nobody_can_unpack_is_as_good_as_nothing",
            "shared/turns::an_emptied_store_is_told_all_that_was_taken",
            "app::redis_takes_the_catalogue_and_its_loss_stops_nothing",
        ),
    ),
    Row(
        "a call to Redis is cancelled",
        (
            "shared/outage::a_call_that_is_cancelled_leaves_its_reply_to_nobody",
            "shared/turns::a_call_that_is_cancelled_forgets_nothing",
        ),
    ),
    # Catalogues and prices.
    Row(
        "a list that is empty, halved, a page, dear",
        (
            "catalog/services::a_list_less_than_half_as_long_is_held_back",
            "catalog/services::an_empty_list_is_held_back_even_as_the_first",
            "api_v2_provider/services::what_is_no_list_is_no_empty_list",
            "catalog/moves::a_row_that_moved_too_far_says_why",
            "cli/sync::a_price_that_jumps_waits_until_people_say_yes_and_goes_back_when_they_say_so",
        ),
    ),
    Row(
        "a price that rises between the list and the order",
        (
            "ledger/unknown::what_orders_take_of_our_money_there_follows_the_panels_last_word",
            "panels::a_service_that_takes_more_than_its_list_says_rests",
        ),
    ),
    Row(
        "our money at a panel is used up",
        (
            "orders::a_refusal_for_our_funds_goes_to_the_next_panel",
            "catalog/tasks::a_refusal_for_lack_of_funds_empties_the_offer_until_the_next_balance",
        ),
    ),
    Row(
        "a service is renumbered or another one",
        (
            "catalog/services::without_any_route_that_can_be_bought_it_is_not_shown_and_says_why",
            "catalog/moves::a_row_that_moved_too_far_says_why",
        ),
    ),
    Row(
        "least and most change",
        (
            "routing::an_offer_is_left_out_for_a_reason_in_words",
            "catalog/services::min_and_max_span_all_routes_of_its_type",
        ),
    ),
    # What is said of orders later.
    Row(
        "Completed, then Partial or Canceled",
        (
            "ledger/delivery::what_follows_from_a_panel_s_words",
            "ledger/delivery::a_finished_order_is_asked_about_for_as_long_as_its_asker_says",
        ),
    ),
    Row(
        "Partial with remains that cannot be",
        (
            "ledger/delivery::a_partial_that_cannot_be_reckoned_is_noted_once_and_changes_nothing",
            "api_v2_provider/status::a_figure_is_read_as_panels_write_it",
        ),
    ),
    Row("Canceled a thousand times", ("ledger/delivery::a_canceled_order_seen_a_thousand_times_is_refunded_once",)),
    Row(
        "statuses that leave out, add, reorder, change shape",
        (
            "api_v2_provider/status::of_several_orders_each_asked_for_is_told_and_no_other",
            "api_v2_provider/status::what_is_not_told_of_an_order_is_absent",
        ),
    ),
    Row(
        "an order that its panel does not know any more", ("after_sale::a_status_without_information_changes_nothing",)
    ),
    Row(
        "another currency than agreed",
        (
            "catalog/balances::another_currency_than_the_rules_say_is_told_once",
            "app::a_ledger_in_one_currency_is_not_carried_on_in_another",
        ),
    ),
    Row(
        "drip-feeds, and their rests",
        ("provider_contract::a_drip_feed_is_passed_on_and_paid_for_all_its_runs", _MACHINE),
    ),
    Row(
        "subscriptions that are paid as they go",
        (
            "reconcile/verdicts::a_subscription_is_paid_as_it_goes_and_silences_the_balance",
            "ledger/delivery::a_subscription_that_ends_gives_back_the_posts_that_never_came",
        ),
    ),
    Row(
        "a cancel that is taken note of and does not come",
        ("after_sale::a_cancel_that_was_taken_note_of_is_an_event_and_no_refund",),
    ),
    Row(
        "a refill refused or asked twice",
        (
            "after_sale::a_refill_the_panel_refuses_is_refused",
            "after_sale::a_refill_whose_answer_is_lost_is_not_asked_for_twice",
        ),
    ),
    Row(
        "money moves that no order explains",
        (
            "reconcile/verdicts::money_that_nobody_explains_silences_the_balance",
            "reconcile/verdicts::money_that_goes_without_explanation_stops_a_panel_until_people_let_it_go_on",
        ),
    ),
    # Customers.
    Row(
        "a hundred orders for the last of a balance",
        (
            "orders::concurrent_orders_never_spend_more_than_there_is",
            "ledger/orders::of_a_hundred_orders_at_once_just_those_the_balance_carries_are_placed",
        ),
    ),
    Row(
        "one name for many requests",
        (
            "repeats::concurrent_twins_are_one_order",
            "repeats::twins_of_one_name_that_ask_for_different_things",
            "repeats::a_request_of_a_name_is_one_order_for_a_day",
        ),
    ),
    Row(
        "bombs and answers without end",
        (
            "transport/bounds::a_bomb_is_cut_at_the_cap_and_takes_no_memory",
            "api_v2_provider/services::a_bomb_of_entries_is_not_even_unpacked",
        ),
    ),
    Row(
        "slow and endless customers",
        ("server::a_connection_whose_head_does_not_come_is_closed", "edge::a_body_without_end_is_not_read_to_its_end"),
    ),
    # All of it at once.
    Row("a panel that is slow under load", ("app::a_panel_that_is_slow_delays_no_other_ones_orders",)),
    Row(
        "all panels of a service are down",
        (
            "orders::where_every_panel_says_no_the_money_comes_back_and_the_words_are_definite",
            "health::jitter_spreads_the_pause",
        ),
    ),
    Row(
        "an order that breaks whatever reads it",
        (
            "after_sale::one_order_that_cannot_be_taken_in_holds_up_no_other",
            "orders::a_provider_that_breaks_leaves_an_unknown_and_counts_against_its_panel",
        ),
    ),
    Row(
        "the loop stands still",
        (
            "plugs::a_process_that_slept_too_long_sends_nothing",
            "transport/faults::no_lower_exception_passes_and_only_the_phase_decides",
        ),
    ),
)

DEFECTS: Final[tuple[Row, ...]] = (
    Row(
        "a time-out on `add` is taken for a no",
        (
            "orders::an_answer_that_proves_nothing_is_unknown_and_never_sent_again",
            "storm::2000_orders_through_a_storm_are_bought_once_or_known_to_be_open",
        ),
    ),
    Row(
        "the cheapest by rates in different currencies", ("catalog/catalog::each_route_is_an_offer_with_todays_facts",)
    ),
    Row(
        "the cheapest by the limits of another route",
        (
            "routing::an_offer_is_left_out_for_a_reason_in_words",
            "routing::limits_and_conditions_see_one_run_and_the_cost_all_of_them",
        ),
    ),
    Row(
        "services are alike because their names are; certificates are not looked at",
        (
            "catalog/moves::a_row_that_moved_too_far_says_why",
            "transport/addresses::nothing_leaves_towards_a_certificate_that_is_not_good",
        ),
    ),
    Row(
        "an order is called placed that nobody took",
        ("losing_a_panel::when_every_panel_says_no_nothing_is_called_an_order_and_nothing_is_charged",),
    ),
    Row("more than a hundred ids in a call", ("after_sale::orders_are_asked_about_in_batches_of_at_most_a_hundred",)),
    Row(
        "errors by HTTP status; start counts of 0; refills and cancels refused",
        (
            "provider_contract::status_follows_the_order",
            "provider_contract::a_completed_order_is_refilled_and_the_refill_followed",
            "provider_contract::a_cancel_is_taken_note_of_and_the_order_ends",
        ),
    ),
    Row(
        "a circuit opens and nothing is routed elsewhere",
        ("losing_a_panel::no_customer_hears_of_a_panel_that_is_lost_under_load",),
    ),
    Row(
        "a circuit that is half open lets many through",
        (
            "health::an_open_circuit_wants_a_probe_when_its_pause_is_over_and_not_before",
            "catalog/tasks::an_open_circuit_is_probed_with_the_balance_and_closed_by_it",
        ),
    ),
    Row(
        "a request is remembered after it was done, or by the minute",
        ("ledger/unknown::a_name_is_one_order_for_a_day", "repeats::concurrent_twins_are_one_order"),
    ),
    Row("money is a float", ("fault_matrix::no_amount_is_a_float",)),
)
"""What other routers of this field do wrong, one row each: the tests that it is not done here."""
