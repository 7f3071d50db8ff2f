//! One round: the loads, what happens to them and to the server, and the rest after it.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::load::Generator;
use super::plan::{Act, End, Round};
use super::records;
use super::site::{LOOK, Site, within};
use super::strangers;
use super::verdict::{BY_THE_ACCOUNT, Figures, not_back};

/// When everything of a round must be gone: a request of a lost client is waited for (32 s), and its call lingers then (32 s);
/// sessions wait for 10 s before.
const QUIET: Duration = Duration::from_secs(80);
/// When that must be gone which ends with an account: within a second, and the machine may be busy.
const DISABLED: Duration = Duration::from_secs(15);
/// How long a disabled account stays so.
const DISABLED_MS: u64 = 1_500;
/// Until a server that was started again serves.
const START: Duration = Duration::from_secs(10);

/// A round that is played, or has been.
pub(super) struct Play<'a> {
    site: &'a mut Site,
    round: &'a Round,
    base: &'a mut Figures,
    generators: Vec<Generator>,
    /// Held open.
    strangers: Vec<TcpStream>,
    begun: Instant,
    /// What went wrong that does not end the run.
    pub(super) findings: Vec<String>,
    /// If the server was ended.
    pub(super) restart: Option<Restart>,
}

/// The server came back.
#[derive(Clone, Copy, Debug)]
pub(super) struct Restart {
    /// Until it served again.
    pub(super) took: Duration,
    /// Calls that went on a moment before it ended.
    pub(super) calls: usize,
}

/// What is due in a round beside what generators suffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    Act(Act),
    Enable(usize),
    End(End),
}

impl<'a> Play<'a> {
    pub(super) fn new(site: &'a mut Site, round: &'a Round, base: &'a mut Figures) -> Self {
        Self {
            site,
            round,
            base,
            generators: Vec::new(),
            strangers: Vec::new(),
            begun: Instant::now(),
            findings: Vec::new(),
            restart: None,
        }
    }

    /// Plays it to the end of the last generator.
    pub(super) fn run(&mut self) -> Result<(), String> {
        for (place, load) in self.round.loads.iter().enumerate() {
            let is_disturbed = self.round.disturbs(place);
            let generator = Generator::start(self.site, place, load.clone(), is_disturbed)?;
            self.generators.push(generator);
        }
        self.strangers = strangers::come(self.site, self.round.strangers);
        if self.round.vanishing > 0 && !self.site.is_tls {
            self.vanish()?;
        }
        let mut dues = self.dues();
        loop {
            let age_ms = self.begun.elapsed().as_millis() as u64;
            while let Some((_, due)) = dues.pop_front_if(|(at_ms, _)| *at_ms <= age_ms) {
                self.perform(due)?;
            }
            for generator in &mut self.generators {
                self.findings.extend(generator.look()?);
            }
            self.site.check_alive()?;
            if dues.is_empty() && self.generators.iter().all(Generator::is_gone) {
                self.strangers.clear();
                return Ok(());
            }
            std::thread::sleep(LOOK);
        }
    }

    fn dues(&self) -> std::collections::VecDeque<(u64, Due)> {
        let mut dues = Vec::new();
        if let Some((act, at_ms)) = self.round.act {
            dues.push((at_ms, Due::Act(act)));
            if let Act::Disable(place) = act {
                dues.push((at_ms + DISABLED_MS, Due::Enable(place)));
            }
        }
        dues.extend(self.round.end.map(|(end, at_ms)| (at_ms, Due::End(end))));
        dues.sort_by_key(|(at_ms, _)| *at_ms);
        dues.into()
    }

    fn perform(&mut self, due: Due) -> Result<(), String> {
        match due {
            Due::Act(Act::Disable(place)) => self.site.allow(place, false),
            Due::Act(Act::RotateApiKey(place)) => self.site.rotate_api_key(place),
            Due::Act(Act::RotateSigningKey(place)) => self.site.rotate_signing_key(place),
            Due::Enable(place) => self.site.allow(place, true),
            Due::End(end) => self.end(end),
        }
    }

    /// Sessions whose clients vanish wait for them.
    fn vanish(&mut self) -> Result<(), String> {
        let place = match self.round.act {
            Some((Act::Disable(0), _)) => 1,
            _ => 0,
        };
        strangers::vanish(self.site, self.round.vanishing, place)?;
        let waiting = within(Duration::from_secs(5), || {
            let figures = self.site.figures()?;
            let waiting = figures.tables.get("sessions_waiting").copied().unwrap_or(0);
            Ok((waiting >= self.round.vanishing).then_some(()))
        })?;
        if waiting.is_none() {
            let number = self.round.vanishing;
            self.findings.push(format!(
                "of {number} clients that vanished not every session waits"
            ));
        }
        Ok(())
    }

    /// The server ends and is started again on the same folder and ports.
    fn end(&mut self, end: End) -> Result<(), String> {
        let before = records::newest(self.site)?;
        self.site.end(end)?;
        for generator in &mut self.generators {
            generator.kill();
        }
        self.strangers.clear();
        let took = self.site.start(self.round.is_tls_next)?;
        if took > START {
            self.findings
                .push(format!("the server served after {took:?} only"));
        }
        self.restart = Some(Restart {
            took,
            calls: records::unended(&before),
        });
        if let Err(fault) = records::check(self.site, &before) {
            self.findings.push(fault);
        }
        *self.base = self.site.figures()?;
        Ok(())
    }

    /// Waits until all is as before; says how long it took, and what the server holds then.
    pub(super) fn rest(&mut self) -> Result<(Duration, Figures), String> {
        let begun = Instant::now();
        self.await_back(QUIET, &BY_THE_ACCOUNT)?;
        let took = begun.elapsed();
        let places = 0..self.site.accounts.len();
        for place in places.clone() {
            self.site.allow(place, false)?;
        }
        self.await_back(DISABLED, &[])?;
        let figures = self.site.figures()?;
        for place in places {
            self.site.allow(place, true)?;
        }
        self.site.await_accounts()?;
        Ok((took, figures))
    }

    fn await_back(&self, time: Duration, except: &[&str]) -> Result<(), String> {
        let mut left = String::new();
        let back = within(time, || {
            let not_back = not_back(self.base, &self.site.figures()?, except);
            Ok(match not_back {
                Some(sentence) => {
                    left = sentence;
                    None
                }
                None => Some(()),
            })
        })?;
        back.ok_or_else(|| format!("not back after {} s: {left}", time.as_secs()))
    }
}
