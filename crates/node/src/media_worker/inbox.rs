//! What the shards have for the gateway. Bounded, and never waits: it is filled under a shard's lock.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::RangeInclusive;
use std::sync::{Mutex, MutexGuard, PoisonError};

use mio::Waker;
use model::AccountId;
use model::limits::{MEDIA_COMMANDS_PER_ACCOUNT, MEDIA_COMMANDS_WAITING};
use model::media::{LegId, MediaCommand};

/// Everything that waits for the worker.
#[derive(Debug, Default)]
pub(super) struct Mail {
    pub(super) commands: VecDeque<(AccountId, MediaCommand)>,
    /// How many of them are whose.
    of_accounts: BTreeMap<AccountId, usize>,
    /// Legs whose commands had no room: they are given up. No more than there are legs.
    pub(super) given_up: BTreeSet<LegId>,
    /// Legs whose bots have said something. No more than there are streams.
    pub(super) spoken: BTreeSet<LegId>,
    pub(super) must_stop: bool,
    /// The worker is to end by a bug.
    #[cfg(test)]
    pub(super) bug: bool,
}

impl Mail {
    fn is_empty(&self) -> bool {
        self.commands.is_empty()
            && self.given_up.is_empty()
            && self.spoken.is_empty()
            && !self.must_stop
    }
}

/// Where the worker is told things.
#[derive(Debug)]
pub(super) struct Inbox {
    mail: Mutex<Mail>,
    waker: Waker,
}

impl Inbox {
    pub(super) fn new(waker: Waker) -> Self {
        Self {
            mail: Mutex::default(),
            waker,
        }
    }

    /// False if there was no room, and a leg is given up.
    pub(super) fn put(&self, account: AccountId, command: MediaCommand) -> bool {
        let mut mail = self.lock();
        let was_empty = mail.is_empty();
        let leg = leg_of(&command);
        let mut has_room = true;
        let own = mail.of_accounts.get(&account).copied().unwrap_or_default();
        let is_full =
            mail.commands.len() >= MEDIA_COMMANDS_WAITING || own >= MEDIA_COMMANDS_PER_ACCOUNT;
        match leg {
            // After it was given up, what is for it is for nobody.
            Some(leg) if mail.given_up.contains(&leg) => {}
            Some(leg) if is_full => {
                mail.given_up.insert(leg);
                has_room = false;
            }
            // An end has always room: there are no more of them than sessions.
            Some(_) | None => {
                *mail.of_accounts.entry(account).or_default() += 1;
                mail.commands.push_back((account, command));
            }
        }
        drop(mail);
        if was_empty {
            self.wake();
        }
        has_room
    }

    /// How many commands wait.
    pub(super) fn waiting(&self) -> usize {
        self.lock().commands.len()
    }

    /// The bot that a leg has a stream with has said something.
    pub(super) fn spoke(&self, leg: LegId) {
        let mut mail = self.lock();
        let was_empty = mail.is_empty();
        mail.spoken.insert(leg);
        drop(mail);
        if was_empty {
            self.wake();
        }
    }

    pub(super) fn stop(&self) {
        self.lock().must_stop = true;
        self.wake();
    }

    #[cfg(test)]
    pub(super) fn put_bug(&self) {
        self.lock().bug = true;
        self.wake();
    }

    /// Takes everything out.
    pub(super) fn take(&self) -> Mail {
        std::mem::take(&mut *self.lock())
    }

    fn wake(&self) {
        if let Err(error) = self.waker.wake() {
            tracing::error!(%error, "the media gateway could not be woken");
        }
    }

    fn lock(&self) -> MutexGuard<'_, Mail> {
        self.mail.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The leg that a command is for, unless it ends a session.
fn leg_of(command: &MediaCommand) -> Option<LegId> {
    match command {
        MediaCommand::Answer { leg, .. }
        | MediaCommand::Play { leg, .. }
        | MediaCommand::StopPlay { leg }
        | MediaCommand::Record { leg, .. }
        | MediaCommand::StopRecord { leg }
        | MediaCommand::Stream { leg, .. }
        | MediaCommand::StopStream { leg, .. }
        | MediaCommand::SendDigits { leg, .. }
        | MediaCommand::Join { leg, .. }
        | MediaCommand::Part { leg }
        | MediaCommand::Enter { leg, .. }
        | MediaCommand::Leave { leg }
        | MediaCommand::Offer { leg, .. }
        | MediaCommand::Accept { leg, .. }
        | MediaCommand::Confirm { leg, .. }
        | MediaCommand::Reoffer { leg, .. }
        | MediaCommand::CloseLeg { leg } => Some(*leg),
        MediaCommand::Close { .. } => None,
    }
}

/// The leg that a command opens.
pub(super) fn opened_by(command: &MediaCommand) -> Option<LegId> {
    match command {
        MediaCommand::Answer { leg, .. } | MediaCommand::Offer { leg, .. } => Some(*leg),
        MediaCommand::Play { .. }
        | MediaCommand::StopPlay { .. }
        | MediaCommand::Record { .. }
        | MediaCommand::StopRecord { .. }
        | MediaCommand::Stream { .. }
        | MediaCommand::StopStream { .. }
        | MediaCommand::SendDigits { .. }
        | MediaCommand::Join { .. }
        | MediaCommand::Part { .. }
        | MediaCommand::Enter { .. }
        | MediaCommand::Leave { .. }
        | MediaCommand::Accept { .. }
        | MediaCommand::Confirm { .. }
        | MediaCommand::Reoffer { .. }
        | MediaCommand::CloseLeg { .. }
        | MediaCommand::Close { .. } => None,
    }
}

/// The legs that a command ends.
pub(super) fn closed_by(command: &MediaCommand) -> Option<RangeInclusive<LegId>> {
    let leg = |session, place| LegId { session, place };
    if let MediaCommand::Close { session } = command {
        return Some(leg(*session, 0)..=leg(*session, u8::MAX));
    }
    if let MediaCommand::CloseLeg { leg } = command {
        return Some(*leg..=*leg);
    }
    None
}

#[cfg(test)]
mod tests {
    use mio::{Poll, Token};
    use model::media::SessionId;

    use super::*;

    #[test]
    fn what_has_no_room_gives_its_leg_up_and_an_end_has_always_room() {
        let poll = Poll::new().unwrap();
        let inbox = Inbox::new(Waker::new(poll.registry(), Token(0)).unwrap());
        let leg = |call| LegId {
            session: SessionId::of_shard(0, call),
            place: 0,
        };
        let stop = |call| MediaCommand::StopPlay { leg: leg(call) };
        for _ in 0..MEDIA_COMMANDS_PER_ACCOUNT {
            assert!(inbox.put(AccountId(1), stop(1)));
        }
        assert!(!inbox.put(AccountId(1), stop(2)), "its part is full");
        assert!(inbox.put(AccountId(1), stop(2)), "told once");
        for _ in MEDIA_COMMANDS_PER_ACCOUNT..MEDIA_COMMANDS_WAITING {
            assert!(inbox.put(AccountId(2), stop(3)), "others have room");
        }
        assert!(!inbox.put(AccountId(3), stop(4)), "all of it is full");
        let session = SessionId::of_shard(0, 1);
        assert!(inbox.put(AccountId(1), MediaCommand::Close { session }));
        let mail = inbox.take();
        assert_eq!(mail.commands.len(), MEDIA_COMMANDS_WAITING + 1);
        let given_up: Vec<_> = mail.given_up.into_iter().collect();
        assert_eq!(given_up, [leg(2), leg(4)]);
        assert!(inbox.take().is_empty());
    }
}
