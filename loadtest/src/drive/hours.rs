//! Plays a scenario hour by hour. While anybody is at work time goes as it does, so that limits, claims and back-offs are what
//! they are; when all has come to rest, the clock of Telegram and of every program is put ahead to the next hour. So a week
//! takes minutes, and whatever waits for hours or days falls due.

use std::{fs, io, path::PathBuf, time::Duration};

use tokio::time::{Instant, sleep};

use super::{LOOK_AGAIN, Progress, Run, TELL};

/// How the hours go.
#[derive(Clone, Debug)]
pub struct Hours {
    /// From one rest to the next, ms of the scenario.
    pub step_ms: u32,
    /// How long all of it lasts, ms of the scenario.
    pub lasts_ms: i64,
    /// The file that says by how many milliseconds the programs' clock is ahead: their `NEZUKO_CLOCK_AHEAD`.
    pub clock: PathBuf,
}

/// Between two acts of one hour.
const APART: Duration = Duration::from_millis(12);
/// Senders look once a second for what has fallen due.
const DUE_WITHIN: Duration = Duration::from_millis(1_500);
/// Nothing is under way then.
const AT_REST: Duration = Duration::from_millis(300);
/// Nor does much wait for the 20 messages that a group may have in a minute of real time.
const NOT_HELD_BACK: Duration = Duration::from_millis(3_300);
/// Who pressed too early is looked up once more a moment later: that moment need not be waited for.
const MOMENT_MS: u32 = 1_000;
/// Longer than the time between two changes of a prompt or two messages to a log chat, shorter than a sender's claim.
const SECONDS_MS: u32 = 7_000;
/// What never comes to rest shows in the verdict.
const LONGEST: Duration = Duration::from_secs(30);
const ROUNDS: usize = 10;

impl Hours {
    /// Says that the clock is not ahead; to be done before the programs start.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn begin(&self) -> io::Result<()> {
        self.put_ahead(0)
    }

    /// Replaces the file as a whole: it is read all the time.
    fn put_ahead(&self, ahead_ms: i64) -> io::Result<()> {
        let new = self.clock.with_extension("new");
        fs::write(&new, ahead_ms.to_string())?;
        fs::rename(new, &self.clock)
    }
}

impl Run {
    /// Lets everybody act hour by hour, and tells `told` how it goes.
    ///
    /// # Errors
    /// Where the programs' clock cannot be put ahead.
    pub async fn play_hours(&mut self, hours: &Hours, mut told: impl FnMut(Progress)) -> io::Result<()> {
        let began_ms = self.simulator.now_ms();
        let step_ms = i64::from(hours.step_ms);
        let all = self.scenario.acts.clone();
        let mut rest = all.as_slice();
        for nth in 0..(hours.lasts_ms / step_ms).max(1) {
            let early_ms = began_ms + nth * step_ms - self.simulator.now_ms();
            self.skip(hours, u32::try_from(early_ms).unwrap_or(0))?;
            // What fell due on the way was over long before.
            self.rest(hours, AT_REST, &mut told).await?;
            let (now, later) = rest.split_at(rest.partition_point(|timed| timed.at_ms < (nth + 1) * step_ms));
            rest = later;
            let acts = (0..).zip(now).map(|(nth, timed)| (APART * nth, timed.act.clone())).collect();
            self.act_out(acts, &mut told).await;
            self.rest(hours, AT_REST, &mut told).await?;
            // What comes some seconds later is of this hour, too.
            for _ in 0..ROUNDS {
                let calls = self.simulator.call_count();
                self.skip(hours, SECONDS_MS)?;
                self.rest(hours, NOT_HELD_BACK, &mut told).await?;
                if self.simulator.call_count() == calls {
                    break;
                }
            }
        }
        Ok(())
    }

    fn skip(&self, hours: &Hours, by_ms: u32) -> io::Result<()> {
        // First the programs: what Telegram dates is never of their future.
        hours.put_ahead(self.simulator.ahead_ms() + i64::from(by_ms))?;
        self.simulator.skip(by_ms);
        Ok(())
    }

    /// Waits until what has fallen due is taken up, all is delivered and answered, and nobody has called for `at_rest`.
    async fn rest(&mut self, hours: &Hours, at_rest: Duration, told: &mut impl FnMut(Progress)) -> io::Result<()> {
        let began = Instant::now();
        let look = |run: &Self| (run.simulator.call_count(), run.simulator.counters().delivered);
        let (mut seen, mut since, mut tell_at) = (look(self), Instant::now(), Instant::now());
        while began.elapsed() < LONGEST {
            sleep(LOOK_AGAIN).await;
            let now = look(self);
            if now != seen || self.simulator.pending() > 0 {
                (seen, since) = (now, Instant::now());
            }
            let (quiet, now_ms) = (since.elapsed(), self.simulator.now_ms());
            if quiet >= AT_REST && self.simulator.world(|world| world.has_open_presses(now_ms)) {
                self.skip(hours, MOMENT_MS)?;
                since = Instant::now();
            } else if quiet >= at_rest && began.elapsed() >= DUE_WITHIN {
                break;
            }
            if Instant::now() >= tell_at {
                told(self.progress());
                tell_at = Instant::now() + TELL;
            }
        }
        Ok(())
    }
}
