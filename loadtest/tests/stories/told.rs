//! What is told with a program of its own, and of that a story of each kind, all at once, with one fleet.

macro_rules! told {
    (in_both { $($chapter:ident::$story:ident,)* } by_one_program { $($of:ident::$alone:ident,)* }) => {
        mod by_one_program {
            told!(@tests $($chapter::$story,)* $($of::$alone,)*);
        }

        fn stories() -> Vec<crate::fleet::Story> {
            vec![$((stringify!($story), Box::pin(crate::$chapter::$story()))),*]
        }
    };
    (@tests $($chapter:ident::$story:ident,)*) => {
        $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $story() {
                crate::$chapter::$story().await;
            }
        )*
    };
}

told! {
    in_both {
        coming_in::e50_at_night_nobody_counts_as_muted_for_it_and_in_the_morning_all_may_what_they_might,
        messages::e64_what_is_for_another_bot_is_no_command_and_of_who_may_not_write_every_command_is_a_message,
        answers::every_command_of_administrators_is_denied_to_others_and_in_private,
        buttons::e73_whom_the_bot_has_never_seen_in_the_group_is_told_by_a_press_how_they_stand_there,
        buttons::e44_a_press_lifts_no_mute_that_an_administrator_has_imposed,
        channels::e27_a_pending_request_counts_where_the_group_says_so,
        channels::e30_who_is_banned_from_a_channel_is_told_that_they_cannot_join_it,
        coming_in::e12_e52_a_mute_outlasts_leaving_and_is_lifted_also_outside,
        coming_in::e13_e15_e16_whom_administrators_add_is_trusted_and_whom_others_add_is_not,
        full_flow::whoever_comes_is_muted_asked_freed_and_muted_again,
        join_requests::an_administrator_may_be_quicker_and_who_shuts_the_bot_out_is_left_to_them,
        join_requests::who_asks_is_told_what_to_join_and_let_in_when_they_have,
        join_requests::who_is_in_the_channels_is_let_in_at_once_though_telegram_fails_at_first,
        limits::e97_no_more_goes_out_than_telegram_allows_and_who_has_to_wait_holds_up_nobody_else,
        messages::e1_e2_e4_e5_foreign_channels_are_silenced_and_the_groups_own_never,
        messages::e56_e57_e59_e8_an_album_and_whatever_else_is_posted_costs_a_deletion_each_and_one_mute_and_one_prompt,
        messages::e92_what_is_told_again_and_again_is_done_once,
        odd::e101_what_many_messages_ask_for_at_once_is_looked_up_once,
        not_again::every_missing_channel_is_named_and_has_its_button,
        not_again::unprotect_ends_enforcement_and_protect_begins_it_again,
        operators::e105_a_blocked_group_is_told_so_and_left_each_time_that_the_bot_is_added,
        rights::e76_thrown_out_the_bot_stops_and_added_again_it_goes_on_with_what_was_set,
        waiting::e49_who_waits_for_too_long_is_warned_and_removed_and_may_come_back,
        who_sends::e11_who_comments_from_outside_is_muted_there_and_freed_there,
    }
    by_one_program {
        buttons::e67_a_prompt_acts_for_who_presses_and_what_is_for_one_person_does_nothing_for_others,
        channels::e27_our_own_link_into_a_channel_asks_for_an_administrators_word_where_pending_requests_count,
        channels::e33_who_leaves_a_channel_is_muted_and_asked_once_in_the_group_and_elsewhere_only_remembered,
        coming_in::e44_who_is_given_a_voice_within_our_mute_has_it_until_they_leave_and_anything_else_leaves_it_ours,
        coming_in::e48_who_was_left_pictures_but_no_text_has_that_again_and_no_more,
        join_requests::e25_a_request_that_somebody_else_has_answered_is_over_whatever_telegram_says_of_it,
        odd::e54_deletion_and_mute_are_as_if_they_were_done_once_though_no_answer_comes,
        odd::e9_a_deleted_account_is_not_written_to_again_nor_punished_for_what_is_unknown_nor_freed_for_ever,
        operators::e105_of_many_groups_an_owner_has_as_many_served_as_they_may_and_none_that_is_not_on_the_list,
        operators::e37_a_channel_is_known_by_its_id_and_looked_at_each_day_and_when_somebody_comes_by_a_revoked_link,
        answers::commands_that_are_written_wrongly_are_answered_by_how_they_are_written,
        answers::commands_that_cannot_be_carried_out_say_why,
        buttons::e69_a_press_is_answered_within_seconds_though_lookups_take_much_longer,
        buttons::e69_a_press_that_telegram_has_forgotten_is_answered_once_in_vain_and_counts_all_the_same,
        channels::e29_e36_who_is_restricted_in_a_required_group_is_in_it_until_they_leave,
        channels::e35_a_channel_that_cannot_be_seen_into_suspends_its_rule_until_it_can,
        coming_in::e19_e87_who_becomes_an_administrator_waits_no_more_and_is_bound_again_when_it_is_over,
        coming_in::e21_e22_joins_and_messages_in_any_order_and_joins_that_flicker_end_the_same,
        coming_in::e45_what_an_administrator_had_taken_for_a_time_that_is_over_is_lifted,
        coming_in::e45_what_an_administrator_had_taken_is_covered_by_our_mute_and_stands_after_it,
        coming_in::e46_e50_who_is_freed_may_do_no_more_than_everybody,
        join_requests::e80_a_group_is_called_what_it_is_called_now,
        join_requests::who_asks_may_press_or_ask_again_in_private_and_is_told_what_is_missing,
        join_requests::without_the_right_or_the_rule_requests_are_left_to_the_administrators,
        messages::e28_who_cannot_be_found_out_is_silenced_where_the_group_says_so_and_never_muted,
        messages::e58_edits_are_looked_at_where_the_group_wants_it_and_never_those_of_bots,
        messages::e60_e61_e65_e66_notes_and_what_is_none_of_the_groups_life_or_long_ago_cost_nothing_and_a_quotation_does,
        messages::e63_prompts_go_where_people_write_and_to_the_groups_topic_else_unless_it_is_gone,
        not_again::a_note_about_a_join_is_no_join_and_a_join_needs_no_note,
        not_again::an_error_of_telegram_is_no_answer_that_somebody_is_out,
        not_again::who_may_write_costs_no_call_for_a_message,
        odd::e18_e38_whatever_brings_people_in_or_takes_them_out_counts,
        odd::e31_whom_telegram_does_not_know_has_not_joined_where_the_bot_administrates_and_is_unknown_elsewhere,
        odd::e51_what_a_group_does_not_let_be_sent_is_tried_more_and_more_rarely,
        odd::e41_a_basic_group_is_told_to_become_a_supergroup,
        odd::e54_e81_what_another_has_deleted_is_gone_and_the_writer_is_muted,
        odd::e6_e20_what_is_from_nobody_or_about_a_channel_is_taken_in_and_changes_nothing,
        odd::e80_who_has_set_the_group_up_may_go_and_titles_follow,
        odd::e83_who_was_an_administrator_a_moment_ago_is_none,
        odd::e9_an_account_without_a_name_is_muted_and_freed_like_any_other,
        operators::e105_a_group_over_its_owners_quota_is_told_so_once_and_not_protected,
        operators::e37_the_prompt_leads_into_a_private_channel_by_a_link_of_our_own_and_by_another_when_it_is_revoked,
        rights::e42_who_turns_out_to_be_an_administrator_is_looked_up_and_let_be,
        rights::e43_a_right_that_is_gone_without_a_word_is_found_missing_once_and_the_rule_goes_on_when_it_is_back,
        rights::e43_of_a_missing_right_the_administrators_are_told_once_and_the_rule_goes_on_when_it_is_back,
        rights::e43_the_end_of_protection_frees_nobody_without_the_right_to_restrict_and_everybody_when_it_is_back,
        rights::e76_e78_what_was_to_be_deleted_where_the_bot_is_thrown_out_is_let_be,
        rights::e76_e77_who_adds_the_bot_is_told_how_to_begin_and_what_is_missing,
        rights::e77_where_members_are_hidden_a_bot_that_is_no_administrator_says_at_once_what_it_needs,
        rights::e77_without_the_right_to_invite_administrators_hear_that_requests_are_left_to_them,
        waiting::whom_the_bot_has_banned_for_a_while_an_administrator_bans_for_good_by_a_button,
        waiting::e47_who_waits_for_too_long_is_banned_for_a_while_or_until_they_have_joined,
        waiting::e98_in_a_raid_everybody_is_muted_and_counted_rather_than_named_and_the_administrators_hear_of_it_once,
        waiting::e72_a_prompt_that_is_far_up_or_gone_is_sent_anew,
        waiting::in_a_dry_run_nothing_is_done_but_written_down,
        waiting::who_was_muted_before_a_dry_run_is_freed_as_ever_and_nobody_else_is_muted,
        who_sends::e102_hostile_names_and_titles_are_shown_and_nothing_of_them_becomes_markup,
        who_sends::e7_e10_bots_and_accounts_that_stand_for_others_are_neither_looked_up_nor_touched,
        who_sends::e86_what_an_anonymous_administrator_does_names_them_nowhere,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn by_a_fleet_everything_ends_as_it_does_by_one_program() {
    let failed = crate::fleet::tell(stories()).await;
    assert!(failed.is_empty(), "of {} stories: {failed:?}", stories().len());
}
