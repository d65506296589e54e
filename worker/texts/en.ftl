# Everything that people read, in English. HTML stands here; what is filled in is escaped, but for `html` texts of this
# catalogue that are put together.

## Words for what has no name

someone = someone
the_channel = the channel
this_group = this group

## The group's prompt

prompt = {$names}: to write here, please join {$channels} first, then press the button below.
names_and_more = {$names} and {$more} more
crowd = { $count ->
    [one] {$count} person waits: to write here, please join {$channels} first, then press the button below.
   *[other] {$count} people wait: to write here, please join {$channels} first, then press the button below.
  }
warning = {$names}: if you do not, you will be removed soon.
warning_all = Whoever goes on waiting will be removed soon.
prompt_over = Nobody waits here any more.
join_button = Join {$channel}
joined_button = I have joined
greeting = You asked to join {$group}. Please join {$channels} first, then press the button below.

## Answers to presses: no markup, at most 200 characters

press_freed = Thank you! You can write now.
press_already = You can already write here.
press_by_admin = An administrator of this group has restricted you; only they can lift that.
press_unknown = This cannot be checked right now. Please try again in a minute.
press_missing = You have not joined yet: {$channels}
press_banned = You are banned from {$channels}; only its administrators can let you in again.
press_in_progress = I am still checking, one moment please.
press_admitted = Thank you! I let you in.
press_left_to_admins = Whether you are let in is for the administrators to decide.
press_stale = This button does nothing any more.
press_only_for_admins = Only administrators of this group who may restrict members can do this.
press_hidden = To see who you are I need to be an administrator of this group with the right to restrict members.
press_done = Done.
press_unchanged = That is so already.
press_refused = Telegram does not let me do that there.

## To administrators, unasked

arrived = I see to it that only members of a group's channels write in the group. To begin, add me to the channel as an administrator, too, and write <code>/protect @channel</code> here.
arrived_again = I am back, and what was set for this group is in force again.
suspended = I cannot do all of my work in this group. {$missing}
requests_left = I may not invite users to this group: whoever asks to be let in is left to you.
missed_requests = I heard nothing from Telegram for more than a day. Whoever asked to be let in meanwhile may have escaped me: please look through the join requests yourselves.
raid_begins = So many people join that I no longer name them one by one. Whoever has not joined the channels stays muted; I go on as usual when it is over.

## To everybody in the group, unasked

not_as_channel = Messages in the name of channels are deleted here. Please write as yourself.

## Commands in general

only_in_groups = This command works in a supergroup that I administer.
only_for_admins = Only administrators of this group who may restrict members can do this.
prove_yourself = I cannot see who you are. Press the button as yourself to prove that you are an administrator; then I do it.
prove_button = I am an administrator
try_again = Telegram does not answer right now. Please try again in a minute.
usage = <b>/{$command}</b> {$usage}

start_private =
    I see to it that only members of a group's channels write in the group.

    Add me to your group and to its channel as an administrator, then write <code>/protect @channel</code> in the group. /help lists everything I can do. If you wait somewhere, /verify checks you there.
add_to_group_button = Add me to a group
start_group = I see to it that only members of a group's channels write in the group. /help lists everything I can do.
link_stale = This link is not for you, or its time is over. Send /verify instead.

help_head = I see to it that only members of a group's channels write in the group.
help_everybody = <b>For everybody:</b>
help_admins = <b>For administrators, in the group:</b>
help_line = /{$command} – {$about}

about_start = what I do
about_help = what I can do
about_verify = check whether you may write now
about_forget_me = erase what I know about you
about_protect = require a channel for writing here
about_unprotect = no longer require a channel, and free whom I muted
about_channels = the channels that are required here
about_status = what is required, who waits, what happened lately
about_settings = see and change how I work here
about_allow = let somebody write without joining
about_disallow = treat somebody like everybody else again
about_recheck = look up everybody I know here again
about_raid = treat a flood of joins as a raid, by hand
about_stats = what happened in the last day and week
about_export = the settings as text
about_import = take over exported settings

usage_protect = @channel – also several, a numeric id, or as a reply to a forwarded post of the channel
usage_unprotect = [@channel] – or its numeric id; without one, all of them
usage_settings = [name value] – without anything, a panel; <code>off</code> for what may be absent
usage_allow = – as a reply to somebody, or with the numeric id of a person or channel
usage_disallow = – as a reply to somebody, or with the numeric id of a person or channel
usage_raid = on [minutes] | off
usage_import = – as a reply to what /export wrote, or with its text

## Protecting

only_supergroups = Members can only be restricted in supergroups. Make this group a supergroup first (for instance by showing its history to new members), then try again.
no_such_channel = I cannot find {$channel}. Is it spelled right, and am I in it?
refused_group = Whoever operates this bot does not have it work in this group, so I am leaving. Please ask them.
refused_quota = Whoever added me here has me in as many groups as they may already, so I do not protect this one. Please ask whoever operates this bot.
not_itself = A group cannot require itself.
not_a_circle = {$channel} requires this group already, so that nobody could ever write.
too_many_channels = A group can require {$most} channels at most.
before_this_works = Before this can work:
missing_here = { $right ->
    [restrict] • here I need to be an administrator with the right to restrict members
    [delete] • here I need to be an administrator with the right to delete messages
   *[both] • here I need to be an administrator with the right to restrict members and to delete messages
  }
missing_there = • in {$channel} I need to be an administrator
not_your_channel = Only an administrator of {$channel} can have it required here.
protected = Protected: who writes here must have joined {$channels}.
no_way_into = {$channel} has no public name, and I may not invite users there. Give me that right, or whoever is muted finds no way in.
requests_unheard = I may not invite users to {$channel}: requests to join it do not reach me, and none counts.
unprotected_channel = { $freed ->
    [later] {$channel} is no longer required. I may not restrict members here: whom I muted for it stays muted until I may.
   *[now] {$channel} is no longer required. Whom I muted for it is being freed.
  }
unprotected = { $freed ->
    [later] No longer protected. I may not restrict members here: everybody whom I muted stays muted until I may.
   *[now] No longer protected. Everybody whom I muted is being freed.
  }
not_required = That channel is not required here.
release_progress = No longer protected. Freed: {$done} of {$total}.
release_done = No longer protected. Everybody whom I muted is free: {$total}.

## How things stand

status = { $state ->
    [protected] This group is <b>protected</b>.
    [suspended] This group is <b>suspended: I may not restrict members here</b>.
   *[unprotected] This group is <b>not protected</b>.
  }
status_dry_run = <b>Dry run:</b> nothing is done, only said in the log channel.
status_keeps_messages = I may not delete messages here: what somebody writes before they are muted stays.
status_raid = <b>Raid:</b> so many people join that they are only counted.
status_counts = Waiting: {$waiting}. Muted by me: {$muted}.
status_hour = Last hour: {$mutes} muted, {$releases} freed, {$checks} checked.
channels_none = No channel is required here. /protect @channel requires one.
channels_head = Who writes here must have joined:
channel_line = • {$channel} (<code>{$id}</code>)
channel_unwatched = • {$channel} (<code>{$id}</code>) – I am not an administrator there
stats_head = <b>What happened here</b>
stats_line = { $period ->
    [day] Last 24 hours: {$mutes} muted, {$releases} freed, {$checks} checked, {$missing} of them without success.
   *[week] Last 7 days: {$mutes} muted, {$releases} freed, {$checks} checked, {$missing} of them without success.
  }

## Checking

verify_in_group = {$group}: {$answer}
verify_nowhere = You are waiting in no group that I know of.
verify_in_private_button = Check again in private

## Exceptions

allowed = {$name} may write here without having joined.
disallowed = {$name} is treated like everybody else again.
disallowed_in_vain = {$name} is no exception any more, but may go on writing: an administrator has freed or added them. Restrict them yourself if that is not meant.

## Settings

settings_head = <b>Settings of {$group}</b>
settings_texts = Longer ones are set by text: <code>/settings name value</code>, with the names prompt_text, prompt_topic, log_chat and every other.
settings_line = <code>{$name}</code>: {$value}
setting_set = <code>{$name}</code> is now: {$value}
setting_unknown = There is no setting <code>{$name}</code>. There are: {$names}
setting_choices = <code>{$name}</code> can be: {$choices}
setting_not_a_number = <code>{$name}</code> must be a whole number.
range_seconds = <code>{$name}</code> must be {$least} to {$most} seconds.
range_number = <code>{$name}</code> must be {$least} to {$most}.
range_text = <code>{$name}</code> must be 1 to {$most} characters, without control characters.
range_placeholders = <code>{$name}</code> must contain {"{channels}"} once, and nothing else in braces but {"{names}"} and {"{group}"}, once each.
log_chat_refused = I must be able to write in {$channel}, and you must be an administrator there.
value_off = off
value_yes = yes
value_no = no
value_en = English
value_de = Deutsch
value_allow = allow
value_hold = hold
value_stay = stay muted
value_kick = remove
value_ban = ban
value_delete = delete
seconds = { $count ->
    [one] {$count} second
   *[other] {$count} seconds
  }
minutes = { $count ->
    [one] {$count} minute
   *[other] {$count} minutes
  }
hours = { $count ->
    [one] {$count} hour
   *[other] {$count} hours
  }
days = { $count ->
    [one] {$count} day
   *[other] {$count} days
  }
setting_language = Language: {$value}
setting_prompt_text = Text of the prompt: {$value}
setting_prompt_topic = Topic of prompts: {$value}
setting_on_unknown = Who cannot be checked: {$value}
setting_timeout_action = After waiting too long: {$value}
setting_timeout_s = Waiting too long is: {$value}
setting_ban_s = A ban lasts: {$value}
setting_warn_first = Warn before that: {$value}
setting_grace_s = Grace for who leaves: {$value}
setting_raid_threshold = Joins a minute that are a raid: {$value}
setting_clean_service = Delete notes about joins: {$value}
setting_clean_commands = Delete commands: {$value}
setting_join_requests = Answer join requests: {$value}
setting_pending_counts = A pending request counts: {$value}
setting_trust_added = Trust whom admins add: {$value}
setting_sender_chats = Messages as channels: {$value}
setting_check_edits = Look at edits: {$value}
setting_dry_run = Dry run: {$value}
setting_log_chat = Log channel: {$value}
export = <pre>{$json}</pre>
imported = { $count ->
    [0] Everything was like that already.
    [one] Taken over: {$count} setting has changed.
   *[other] Taken over: {$count} settings have changed.
  }
import_refused = Nothing was taken over:
import_unreadable = This is not what /export writes: {$error}
import_version = Version {$version} of exported settings is not known here.

## The log channel

log_head = <b>{$group}</b>
log_line = {$number}. {$name}: { $outcome ->
    [muted] muted
    [released] freed
    [restored] put back as an administrator had it
    [admitted] let in
    [kicked] removed
    [banned] banned
    [would_mute] would be muted (dry run)
    [would_admit] would be let in (dry run)
    [would_greet] would be told what to join (dry run)
    [would_delete] would have a message deleted (dry run)
    [would_kick] would be removed (dry run)
    [would_ban] would be banned (dry run)
   *[other] {$outcome}
  }
log_deleted = {$number}. {$name}: { $count ->
    [one] message deleted
   *[other] {$count} messages deleted
  }
undo_button = { $act ->
    [free] {$number}. Free
    [exempt] {$number}. Exempt
   *[ban] {$number}. Ban
  }
log_stopped = I can no longer write in the log channel <code>{$chat}</code>, and tell it nothing more. Once I may write there again, set it anew: <code>/settings log_chat {$chat}</code>

## Long work and the rest

recheck_begun = { $total ->
    [1] I look up one person again.
   *[other] I look up {$total} people again, a few at a time.
  }
recheck_progress = Looked up again: {$done} of {$total}.
recheck_done = { $failed ->
    [0] Looked up again: all {$total}.
   *[other] Looked up again: all {$total}, of whom {$failed} could not be.
  }
raid_on = Raid: prompts are folded together for {$time}.
raid_off = The raid is over.
forgotten = { $kept ->
    [0] What I knew about you is erased.
    [one] What I knew about you is erased, but for {$kept} group where a restriction or an exception is in force; there it is needed to lift it or to keep it.
   *[other] What I knew about you is erased, but for {$kept} groups where a restriction or an exception is in force; there it is needed to lift it or to keep it.
  }
