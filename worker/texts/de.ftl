# Alles, was Menschen lesen, auf Deutsch. HTML steht hier; was eingesetzt wird, ist maskiert, außer Texten mit Markup aus
# diesem Katalog selbst.

## Worte für Namenloses

someone = jemand
the_channel = der Kanal
this_group = diese Gruppe

## Der Hinweis der Gruppe

prompt = {$names}: Um hier zu schreiben, tritt bitte erst {$channels} bei und drücke dann den Knopf darunter.
names_and_more = {$names} und {$more} weitere
crowd = { $count ->
    [one] {$count} Person wartet: Um hier zu schreiben, tritt bitte erst {$channels} bei und drücke dann den Knopf darunter.
   *[other] {$count} Personen warten: Um hier zu schreiben, tritt bitte erst {$channels} bei und drücke dann den Knopf darunter.
  }
warning = {$names}: Wer nicht beitritt, wird bald entfernt.
warning_all = Wer weiter wartet, wird bald entfernt.
prompt_over = Hier wartet niemand mehr.
join_button = {$channel} beitreten
joined_button = Ich bin beigetreten
greeting = Du möchtest in {$group} aufgenommen werden. Bitte tritt zuerst {$channels} bei und drücke dann den Knopf darunter.

## Antworten auf Knopfdrücke: ohne Markup, höchstens 200 Zeichen

press_freed = Danke! Du kannst jetzt schreiben.
press_already = Du kannst hier schon schreiben.
press_by_admin = Ein Administrator dieser Gruppe hat dich eingeschränkt; nur er kann das aufheben.
press_unknown = Das lässt sich gerade nicht prüfen. Bitte versuche es in einer Minute noch einmal.
press_missing = Noch nicht beigetreten: {$channels}
press_banned = Du bist aus {$channels} ausgeschlossen; nur Administratoren dort können dich wieder hineinlassen.
press_in_progress = Ich prüfe noch, einen Moment bitte.
press_admitted = Danke! Ich lasse dich hinein.
press_left_to_admins = Ob du hineingelassen wirst, entscheiden die Administratoren.
press_stale = Dieser Knopf bewirkt nichts mehr.
press_only_for_admins = Das können nur Administratoren dieser Gruppe, die Mitglieder einschränken dürfen.
press_hidden = Um zu sehen, wer du bist, muss ich Administrator dieser Gruppe sein und Mitglieder einschränken dürfen.
press_done = Erledigt.
press_unchanged = Das ist schon so.
press_refused = Telegram lässt mich das dort nicht tun.

## An Administratoren, ungefragt

arrived = Ich sorge dafür, dass in einer Gruppe nur schreibt, wer ihren Kanälen beigetreten ist. Füge mich zuerst auch dem Kanal als Administrator hinzu und schreibe dann hier <code>/protect @kanal</code>.
arrived_again = Ich bin wieder da, und es gilt wieder, was für diese Gruppe eingestellt war.
suspended = Ich kann in dieser Gruppe nicht alles tun, was ich soll. {$missing}
requests_left = Ich darf in diese Gruppe niemanden einladen: Wer um Einlass bittet, den überlasse ich euch.
missed_requests = Telegram hat mir über einen Tag lang nichts gemeldet. Wer in dieser Zeit um Einlass gebeten hat, ist mir vielleicht entgangen: Bitte seht die Beitrittsanfragen selbst durch.
raid_begins = So viele treten bei, dass ich sie nicht mehr einzeln nenne. Wer den Kanälen nicht beigetreten ist, bleibt stumm; wenn es vorbei ist, mache ich weiter wie sonst.

## An alle in der Gruppe, ungefragt

not_as_channel = Nachrichten im Namen von Kanälen werden hier gelöscht. Bitte schreibe unter deinem eigenen Namen.

## Befehle im Allgemeinen

only_in_groups = Dieser Befehl gilt in einer Supergruppe, die ich verwalte.
only_for_admins = Das können nur Administratoren dieser Gruppe, die Mitglieder einschränken dürfen.
prove_yourself = Ich sehe nicht, wer du bist. Drücke den Knopf unter deinem eigenen Namen, um zu zeigen, dass du Administrator bist; dann tue ich es.
prove_button = Ich bin Administrator
try_again = Telegram antwortet gerade nicht. Bitte versuche es in einer Minute noch einmal.
usage = <b>/{$command}</b> {$usage}

start_private =
    Ich sorge dafür, dass in einer Gruppe nur schreibt, wer ihren Kanälen beigetreten ist.

    Füge mich deiner Gruppe und ihrem Kanal als Administrator hinzu und schreibe dann in der Gruppe <code>/protect @kanal</code>. /help nennt alles, was ich kann. Wenn du irgendwo wartest, prüft /verify dich dort.
add_to_group_button = Zu einer Gruppe hinzufügen
start_group = Ich sorge dafür, dass in einer Gruppe nur schreibt, wer ihren Kanälen beigetreten ist. /help nennt alles, was ich kann.
link_stale = Dieser Link ist nicht für dich, oder seine Zeit ist um. Schicke stattdessen /verify.

help_head = Ich sorge dafür, dass in einer Gruppe nur schreibt, wer ihren Kanälen beigetreten ist.
help_everybody = <b>Für alle:</b>
help_admins = <b>Für Administratoren, in der Gruppe:</b>
help_line = /{$command} – {$about}

about_start = was ich tue
about_help = was ich kann
about_verify = prüfen, ob du jetzt schreiben darfst
about_forget_me = löschen, was ich über dich weiß
about_protect = einen Kanal zum Schreiben hier verlangen
about_unprotect = einen Kanal nicht mehr verlangen und Stummgeschaltete befreien
about_channels = die Kanäle, die hier verlangt sind
about_status = was verlangt ist, wer wartet, was zuletzt geschah
about_settings = sehen und ändern, wie ich hier arbeite
about_allow = jemanden ohne Beitritt schreiben lassen
about_disallow = jemanden wieder wie alle behandeln
about_recheck = alle, die ich hier kenne, neu nachschlagen
about_raid = eine Flut von Beitritten von Hand als Überfall behandeln
about_stats = was am letzten Tag und in der letzten Woche geschah
about_export = die Einstellungen als Text
about_import = exportierte Einstellungen übernehmen

usage_protect = @kanal – auch mehrere, eine Zahl als Kennung, oder als Antwort auf einen weitergeleiteten Beitrag des Kanals
usage_unprotect = [@kanal] – oder seine Kennung; ohne Angabe alle
usage_settings = [Name Wert] – ohne Angabe eine Tafel; <code>off</code> für das, was fehlen darf
usage_allow = – als Antwort auf jemanden, oder mit der Kennung einer Person oder eines Kanals
usage_disallow = – als Antwort auf jemanden, oder mit der Kennung einer Person oder eines Kanals
usage_raid = on [Minuten] | off
usage_import = – als Antwort auf das, was /export schrieb, oder mit dessen Text

## Schützen

only_supergroups = Nur in Supergruppen lassen sich Mitglieder einschränken. Mache diese Gruppe erst zur Supergruppe (etwa indem neue Mitglieder den Verlauf sehen) und versuche es dann noch einmal.
no_such_channel = Ich finde {$channel} nicht. Ist es richtig geschrieben, und bin ich dort?
refused_group = Wer diesen Bot betreibt, lässt ihn in dieser Gruppe nicht arbeiten; darum gehe ich. Bitte dort nachfragen.
refused_quota = Wer mich hinzugefügt hat, hat mich schon in so vielen Gruppen wie erlaubt; darum schütze ich diese nicht. Bitte bei den Betreibern des Bots nachfragen.
not_itself = Eine Gruppe kann sich nicht selbst verlangen.
not_a_circle = {$channel} verlangt schon diese Gruppe, so dass niemand je schreiben könnte.
too_many_channels = Eine Gruppe kann höchstens {$most} Kanäle verlangen.
before_this_works = Bevor das geht:
missing_here = { $right ->
    [restrict] • hier muss ich Administrator sein und Mitglieder einschränken dürfen
    [delete] • hier muss ich Administrator sein und Nachrichten löschen dürfen
   *[both] • hier muss ich Administrator sein, Mitglieder einschränken und Nachrichten löschen dürfen
  }
missing_there = • in {$channel} muss ich Administrator sein
not_your_channel = Dass wer hier schreibt {$channel} beigetreten sein muss, kann nur ein Administrator jenes Kanals verlangen.
protected = Geschützt: Wer hier schreibt, muss {$channels} beigetreten sein.
no_way_into = {$channel} hat keinen öffentlichen Namen, und ich darf dort niemanden einladen. Gebt mir dieses Recht, sonst findet keiner hinein, der stumm ist.
requests_unheard = Ich darf in {$channel} niemanden einladen: Beitrittsanfragen dort erreichen mich nicht, und keine zählt.
unprotected_channel = { $freed ->
    [later] {$channel} ist nicht mehr verlangt. Ich darf hier niemanden einschränken: Wen ich deshalb stummgeschaltet habe, der bleibt stumm, bis ich es darf.
   *[now] {$channel} ist nicht mehr verlangt. Wen ich deshalb stummgeschaltet habe, den befreie ich.
  }
unprotected = { $freed ->
    [later] Nicht mehr geschützt. Ich darf hier niemanden einschränken: Alle, die ich stummgeschaltet habe, bleiben stumm, bis ich es darf.
   *[now] Nicht mehr geschützt. Alle, die ich stummgeschaltet habe, befreie ich.
  }
not_required = Dieser Kanal ist hier nicht verlangt.
release_progress = Nicht mehr geschützt. Befreit: {$done} von {$total}.
release_done = Nicht mehr geschützt. Alle Stummgeschalteten sind frei: {$total}.

## Wie es steht

status = { $state ->
    [protected] Diese Gruppe ist <b>geschützt</b>.
    [suspended] Diese Gruppe ist <b>ausgesetzt: Ich darf hier keine Mitglieder einschränken</b>.
   *[unprotected] Diese Gruppe ist <b>nicht geschützt</b>.
  }
status_dry_run = <b>Probelauf:</b> Es geschieht nichts, es wird nur im Protokollkanal gesagt.
status_keeps_messages = Ich darf hier keine Nachrichten löschen: Was jemand schreibt, ehe er stumm ist, bleibt stehen.
status_raid = <b>Überfall:</b> So viele treten bei, dass sie nur gezählt werden.
status_counts = Es warten: {$waiting}. Von mir stummgeschaltet: {$muted}.
status_hour = Letzte Stunde: {$mutes} stummgeschaltet, {$releases} befreit, {$checks} geprüft.
channels_none = Hier ist kein Kanal verlangt. /protect @kanal verlangt einen.
channels_head = Wer hier schreibt, muss beigetreten sein:
channel_line = • {$channel} (<code>{$id}</code>)
channel_unwatched = • {$channel} (<code>{$id}</code>) – dort bin ich kein Administrator
stats_head = <b>Was hier geschah</b>
stats_line = { $period ->
    [day] Letzte 24 Stunden: {$mutes} stummgeschaltet, {$releases} befreit, {$checks} geprüft, davon {$missing} ohne Erfolg.
   *[week] Letzte 7 Tage: {$mutes} stummgeschaltet, {$releases} befreit, {$checks} geprüft, davon {$missing} ohne Erfolg.
  }

## Prüfen

verify_in_group = {$group}: {$answer}
verify_nowhere = Du wartest in keiner Gruppe, von der ich weiß.
verify_in_private_button = Privat noch einmal prüfen

## Ausnahmen

allowed = {$name} darf hier ohne Beitritt schreiben.
disallowed = {$name} wird wieder wie alle behandelt.
disallowed_in_vain = {$name} ist keine Ausnahme mehr, darf aber weiter schreiben: Ein Administrator hat die Person befreit oder hinzugefügt. Schränkt sie selbst ein, wenn das nicht gemeint ist.

## Einstellungen

settings_head = <b>Einstellungen von {$group}</b>
settings_texts = Längere setzt man als Text: <code>/settings Name Wert</code>, mit den Namen prompt_text, prompt_topic, log_chat und jedem anderen.
settings_line = <code>{$name}</code>: {$value}
setting_set = <code>{$name}</code> ist jetzt: {$value}
setting_unknown = Es gibt keine Einstellung <code>{$name}</code>. Es gibt: {$names}
setting_choices = <code>{$name}</code> kann sein: {$choices}
setting_not_a_number = <code>{$name}</code> muss eine ganze Zahl sein.
range_seconds = <code>{$name}</code> muss {$least} bis {$most} Sekunden sein.
range_number = <code>{$name}</code> muss {$least} bis {$most} sein.
range_text = <code>{$name}</code> muss 1 bis {$most} Zeichen haben, ohne Steuerzeichen.
range_placeholders = <code>{$name}</code> muss {"{channels}"} einmal enthalten, und in Klammern sonst nur je einmal {"{names}"} und {"{group}"}.
log_chat_refused = Ich muss in {$channel} schreiben können, und du musst dort Administrator sein.
value_off = aus
value_yes = ja
value_no = nein
value_en = English
value_de = Deutsch
value_allow = erlauben
value_hold = zurückhalten
value_stay = bleibt stumm
value_kick = entfernen
value_ban = bannen
value_delete = löschen
seconds = { $count ->
    [one] {$count} Sekunde
   *[other] {$count} Sekunden
  }
minutes = { $count ->
    [one] {$count} Minute
   *[other] {$count} Minuten
  }
hours = { $count ->
    [one] {$count} Stunde
   *[other] {$count} Stunden
  }
days = { $count ->
    [one] {$count} Tag
   *[other] {$count} Tage
  }
setting_language = Sprache: {$value}
setting_prompt_text = Text des Hinweises: {$value}
setting_prompt_topic = Thema der Hinweise: {$value}
setting_on_unknown = Wer nicht prüfbar ist: {$value}
setting_timeout_action = Wer zu lange wartet: {$value}
setting_timeout_s = Zu lange warten heißt: {$value}
setting_ban_s = Ein Bann dauert: {$value}
setting_warn_first = Vorher warnen: {$value}
setting_grace_s = Frist beim Verlassen: {$value}
setting_raid_threshold = Beitritte je Minute als Überfall: {$value}
setting_clean_service = Beitrittsnotizen löschen: {$value}
setting_clean_commands = Befehle löschen: {$value}
setting_join_requests = Beitrittsanfragen beantworten: {$value}
setting_pending_counts = Offene Anfrage zählt: {$value}
setting_trust_added = Von Admins Hinzugefügten trauen: {$value}
setting_sender_chats = Nachrichten als Kanal: {$value}
setting_check_edits = Bearbeitungen ansehen: {$value}
setting_dry_run = Probelauf: {$value}
setting_log_chat = Protokollkanal: {$value}
export = <pre>{$json}</pre>
imported = { $count ->
    [0] Alles war schon so.
    [one] Übernommen: {$count} Einstellung hat sich geändert.
   *[other] Übernommen: {$count} Einstellungen haben sich geändert.
  }
import_refused = Nichts wurde übernommen:
import_unreadable = Das ist nicht, was /export schreibt: {$error}
import_version = Version {$version} exportierter Einstellungen ist hier nicht bekannt.

## Der Protokollkanal

log_head = <b>{$group}</b>
log_line = {$number}. {$name}: { $outcome ->
    [muted] stummgeschaltet
    [released] befreit
    [restored] wieder so, wie ein Administrator es wollte
    [admitted] eingelassen
    [kicked] entfernt
    [banned] gebannt
    [would_mute] würde stummgeschaltet (Probelauf)
    [would_admit] würde eingelassen (Probelauf)
    [would_greet] erführe, wo beizutreten ist (Probelauf)
    [would_delete] eine Nachricht würde gelöscht (Probelauf)
    [would_kick] würde entfernt (Probelauf)
    [would_ban] würde gebannt (Probelauf)
   *[other] {$outcome}
  }
log_deleted = {$number}. {$name}: { $count ->
    [one] Nachricht gelöscht
   *[other] {$count} Nachrichten gelöscht
  }
undo_button = { $act ->
    [free] {$number}. Freigeben
    [exempt] {$number}. Ausnahme
   *[ban] {$number}. Bannen
  }
log_stopped = Ich kann im Protokollkanal <code>{$chat}</code> nicht mehr schreiben und berichte ihm nichts mehr. Sobald ich dort wieder schreiben darf, setzt man ihn neu: <code>/settings log_chat {$chat}</code>

## Lange Arbeit und der Rest

recheck_begun = { $total ->
    [1] Ich schlage eine Person neu nach.
   *[other] Ich schlage {$total} Personen neu nach, immer einige auf einmal.
  }
recheck_progress = Neu nachgeschlagen: {$done} von {$total}.
recheck_done = { $failed ->
    [0] Neu nachgeschlagen: alle {$total}.
   *[other] Neu nachgeschlagen: alle {$total}, wobei es bei {$failed} nicht gelang.
  }
raid_on = Überfall: Hinweise werden für {$time} zusammengefasst.
raid_off = Der Überfall ist vorbei.
forgotten = { $kept ->
    [0] Was ich über dich wusste, ist gelöscht.
    [one] Was ich über dich wusste, ist gelöscht, außer in {$kept} Gruppe, wo eine Einschränkung oder Ausnahme gilt; dort ist es nötig, um sie aufzuheben oder zu halten.
   *[other] Was ich über dich wusste, ist gelöscht, außer in {$kept} Gruppen, wo eine Einschränkung oder Ausnahme gilt; dort ist es nötig, um sie aufzuheben oder zu halten.
  }
