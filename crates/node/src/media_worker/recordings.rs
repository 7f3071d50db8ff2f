//! Recordings on their way from the gateway to the disk: which file each part belongs to, and the thread that writes.
//!
//! The gateway's thread hands over and goes on; what the disk does not take in time is lost, and the recording with it. The shard
//! hears of a recording when it is whole at its place, or cannot be.

use std::collections::{BTreeMap, VecDeque};
use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use media::wav::HEAD_BYTES;
use model::limits::{FILE_ROOM_TIME, RECORDING_BYTES_WAITING};
use model::media::{LegId, MediaEvent, Record, RecordEnd};
use model::{AccountId, FileName};

use super::Deliver;
use crate::account_file::{AccountFiles, NoRoom, Room};
use crate::shell_counter::ShellCounter;
use crate::telemetry::Counters;

/// The gateway's side.
#[derive(Debug)]
pub(super) struct Recordings {
    tasks: Sender<Task>,
    /// Bytes that were handed over and are not written.
    waiting: Arc<AtomicUsize>,
    legs: BTreeMap<LegId, VecDeque<Recording>>,
    writer: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Recording {
    account: AccountId,
    file: FileName,
    keeps_empty: bool,
    has_begun: bool,
}

#[derive(Debug)]
enum Task {
    Begin {
        leg: LegId,
        account: AccountId,
        file: FileName,
    },
    Part {
        leg: LegId,
        part: Vec<u8>,
    },
    /// A part had no room.
    Spoil(LegId),
    Finish {
        leg: LegId,
        head: Vec<u8>,
        length: Duration,
        end: RecordEnd,
        keeps_empty: bool,
    },
    /// It will never be whole.
    Abandon(LegId),
    /// Is told after what came before.
    Tell(MediaEvent),
}

impl Recordings {
    /// Starts the writer.
    pub(super) fn start(
        files: Arc<AccountFiles>,
        deliver: Deliver,
        counters: Arc<Counters>,
    ) -> io::Result<Self> {
        let (tasks, taken) = channel();
        let waiting = Arc::new(AtomicUsize::new(0));
        let writer = Writer {
            files,
            deliver,
            counters,
            waiting: Arc::clone(&waiting),
            open: BTreeMap::new(),
            rooms: BTreeMap::new(),
        };
        let thread = std::thread::Builder::new().name("recordings".to_owned());
        Ok(Self {
            tasks,
            waiting,
            legs: BTreeMap::new(),
            writer: Some(thread.spawn(move || writer.run(&taken))?),
        })
    }

    /// A leg is to be recorded: its next recording is this file's.
    pub(super) fn expect(&mut self, leg: LegId, account: AccountId, record: &Record) {
        self.legs.entry(leg).or_default().push_back(Recording {
            account,
            file: record.file.clone(),
            // An account is told the name of what it has recorded of both when that begins, and looks for it.
            keeps_empty: record.both,
            has_begun: false,
        });
    }

    /// Takes what concerns recordings; what does not comes back. The end of a leg is told after those of its recordings.
    pub(super) fn take(&mut self, event: MediaEvent) -> Option<MediaEvent> {
        match event {
            MediaEvent::Recording { leg, part } => {
                self.begin(leg);
                let bytes = part.len();
                if self.waiting.fetch_add(bytes, Ordering::Relaxed) > RECORDING_BYTES_WAITING {
                    self.waiting.fetch_sub(bytes, Ordering::Relaxed);
                    self.hand_over(Task::Spoil(leg));
                } else {
                    self.hand_over(Task::Part { leg, part });
                }
                None
            }
            MediaEvent::Recorded {
                leg,
                head,
                length,
                end,
            } => {
                self.begin(leg);
                let recordings = self.legs.get_mut(&leg);
                let recording = recordings.and_then(VecDeque::pop_front);
                self.hand_over(Task::Finish {
                    leg,
                    head,
                    length,
                    end,
                    keeps_empty: recording.is_some_and(|recording| recording.keeps_empty),
                });
                None
            }
            MediaEvent::Ended { leg, .. } => {
                // Where nothing was recorded, nothing needs to be waited for.
                if self.legs.remove(&leg).is_none() {
                    return Some(event);
                }
                self.hand_over(Task::Abandon(leg));
                self.hand_over(Task::Tell(event));
                None
            }
            MediaEvent::Answered { .. }
            | MediaEvent::Offered { .. }
            | MediaEvent::Refused { .. }
            | MediaEvent::NotEntered { .. }
            | MediaEvent::Connected { .. }
            | MediaEvent::Digit { .. }
            | MediaEvent::StreamEnded { .. }
            | MediaEvent::Played { .. } => Some(event),
        }
    }

    /// Writes everything that was handed over, and ends. Waits for it.
    pub(super) fn finish(self) {
        drop(self.tasks);
        if let Some(Err(_)) = self.writer.map(JoinHandle::join) {
            tracing::error!("the writer of recordings ended by a bug");
        }
    }

    fn begin(&mut self, leg: LegId) {
        let recording = self.legs.get_mut(&leg).and_then(VecDeque::front_mut);
        if let Some(recording) = recording.filter(|recording| !recording.has_begun) {
            recording.has_begun = true;
            let task = Task::Begin {
                leg,
                account: recording.account,
                file: recording.file.clone(),
            };
            self.hand_over(task);
        }
    }

    fn hand_over(&self, task: Task) {
        if self.tasks.send(task).is_err() {
            tracing::error!("a recording is lost: their writer has ended");
        }
    }
}

/// The other side.
struct Writer {
    files: Arc<AccountFiles>,
    deliver: Deliver,
    counters: Arc<Counters>,
    waiting: Arc<AtomicUsize>,
    open: BTreeMap<LegId, Unfinished>,
    /// What room accounts have left, and when that was looked at.
    rooms: BTreeMap<AccountId, (Room, Instant)>,
}

/// A file on its way.
struct Unfinished {
    account: AccountId,
    path: PathBuf,
    target: PathBuf,
    file: File,
}

impl Writer {
    fn run(mut self, tasks: &Receiver<Task>) {
        while let Ok(task) = tasks.recv() {
            self.perform(task);
        }
        for unfinished in std::mem::take(&mut self.open).into_values() {
            unfinished.remove();
        }
    }

    fn perform(&mut self, task: Task) {
        match task {
            Task::Begin { leg, account, file } => match self.begin(account, &file) {
                Ok(unfinished) => {
                    if let Some(before) = self.open.insert(leg, unfinished) {
                        before.remove();
                    }
                }
                Err(error) => {
                    tracing::error!(account = account.0, %error, "a recording cannot be kept");
                }
            },
            Task::Part { leg, part } => {
                if let Err(error) = self.write(leg, &part) {
                    self.give_up(leg, &error.to_string());
                }
                self.waiting.fetch_sub(part.len(), Ordering::Relaxed);
            }
            Task::Spoil(leg) => self.give_up(leg, "the disk is too slow"),
            Task::Finish {
                leg,
                head,
                length,
                end,
                keeps_empty,
            } => {
                if length.is_zero() && !keeps_empty {
                    self.discard(leg);
                    return (self.deliver)(MediaEvent::Recorded {
                        leg,
                        head,
                        length,
                        end,
                    });
                }
                let is_kept = self.finish(leg, &head);
                self.counters.add_shell(if is_kept {
                    ShellCounter::RecordingKept
                } else {
                    ShellCounter::RecordingLost
                });
                (self.deliver)(MediaEvent::Recorded {
                    leg,
                    head,
                    length,
                    end: if is_kept { end } else { RecordEnd::Unkept },
                });
            }
            Task::Abandon(leg) => {
                if self.open.contains_key(&leg) {
                    self.counters.add_shell(ShellCounter::RecordingLost);
                    self.give_up(leg, "it never ended");
                }
            }
            Task::Tell(event) => (self.deliver)(event),
        }
    }

    fn write(&mut self, leg: LegId, part: &[u8]) -> io::Result<()> {
        let Some(account) = self.open.get(&leg).map(|to| to.account) else {
            return Ok(());
        };
        let room = self.room(account)?;
        if room.bytes < part.len() as u64 {
            return Err(io::Error::other(NoRoom::Bytes));
        }
        room.bytes -= part.len() as u64;
        self.open
            .get_mut(&leg)
            .map_or(Ok(()), |to| to.file.write_all(part))
    }

    /// The room of an account, as far as it is known: it is looked at now and then.
    fn room(&mut self, account: AccountId) -> io::Result<&mut Room> {
        let now = Instant::now();
        let is_old = |at: &Instant| now.duration_since(*at) >= FILE_ROOM_TIME;
        if self.rooms.get(&account).is_none_or(|(_, at)| is_old(at)) {
            self.rooms.retain(|_, (_, at)| !is_old(at));
            let room = self.files.room(account)?;
            self.rooms.insert(account, (room, now));
        }
        let known = self.rooms.get_mut(&account);
        Ok(&mut known.expect("it was looked at just now, if not before").0)
    }

    fn begin(&mut self, account: AccountId, file: &FileName) -> io::Result<Unfinished> {
        let room = self.room(account)?;
        room.check().map_err(io::Error::other)?;
        room.files -= 1;
        let path = self.files.unfinished(account)?;
        let mut options = File::options();
        let options = options.write(true).create(true).truncate(true).mode(0o600);
        let mut file_at = options.open(&path)?;
        // Its head is known at the end.
        file_at.seek(SeekFrom::Start(HEAD_BYTES as u64))?;
        Ok(Unfinished {
            account,
            path,
            target: self.files.path(account, file),
            file: file_at,
        })
    }

    /// Puts the head in front and the file in its place.
    fn finish(&mut self, leg: LegId, head: &[u8]) -> bool {
        let Some(unfinished) = self.open.remove(&leg) else {
            return false;
        };
        debug_assert_eq!(head.len(), HEAD_BYTES, "as long as was left for it");
        let placed = unfinished
            .file
            .write_all_at(head, 0)
            .and_then(|()| unfinished.file.sync_data())
            .and_then(|()| fs::rename(&unfinished.path, &unfinished.target));
        match placed {
            Ok(()) => true,
            Err(error) => {
                tracing::error!(account = unfinished.account.0, %error, "a recording cannot be kept");
                unfinished.remove();
                false
            }
        }
    }

    /// Nothing was said: no file is left of that.
    fn discard(&mut self, leg: LegId) {
        if let Some(unfinished) = self.open.remove(&leg) {
            unfinished.remove();
        }
    }

    fn give_up(&mut self, leg: LegId, why: &str) {
        if let Some(unfinished) = self.open.remove(&leg) {
            tracing::error!(
                account = unfinished.account.0,
                "a recording is not kept: {why}"
            );
            unfinished.remove();
        }
    }
}

impl Unfinished {
    fn remove(&self) {
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(%error, "what was not finished of a recording cannot be removed");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use model::media::{LegEnd, LegUsage, SessionId};

    use super::*;

    const ACCOUNT: AccountId = AccountId(3);

    fn leg() -> LegId {
        LegId {
            session: SessionId(1),
            place: 0,
        }
    }

    fn part(byte: u8) -> MediaEvent {
        MediaEvent::Recording {
            leg: leg(),
            part: vec![byte; 4],
        }
    }

    fn recorded() -> MediaEvent {
        MediaEvent::Recorded {
            leg: leg(),
            head: vec![b'H'; HEAD_BYTES],
            length: Duration::from_secs(1),
            end: RecordEnd::Full,
        }
    }

    fn ended() -> MediaEvent {
        MediaEvent::Ended {
            leg: leg(),
            end: LegEnd::Closed,
            usage: LegUsage::default(),
        }
    }

    fn record(file: &str) -> Record {
        Record {
            longest: Duration::from_secs(60),
            first_silence: None,
            silence: None,
            beep: false,
            until_digit: false,
            both: false,
            file: FileName::parse(file).unwrap(),
        }
    }

    /// What is told of these events, and the folder.
    fn run(
        prepare: impl FnOnce(&std::path::Path),
        work: impl FnOnce(&mut Recordings),
    ) -> (Vec<MediaEvent>, tempfile::TempDir) {
        let data = tempfile::tempdir().unwrap();
        prepare(data.path());
        let told: Arc<Mutex<Vec<MediaEvent>>> = Arc::default();
        let deliver: Deliver = {
            let told = Arc::clone(&told);
            Arc::new(move |event| told.lock().unwrap().push(event))
        };
        let files = Arc::new(AccountFiles::new(data.path()));
        let mut recordings = Recordings::start(files, deliver, Arc::default()).unwrap();
        work(&mut recordings);
        recordings.finish();
        let told = std::mem::take(&mut *told.lock().unwrap());
        (told, data)
    }

    #[test]
    fn each_recording_is_its_file_with_the_head_in_front_and_the_legs_end_comes_last() {
        let (told, data) = run(
            |_| {},
            |recordings| {
                recordings.expect(leg(), ACCOUNT, &record("one.wav"));
                recordings.expect(leg(), ACCOUNT, &record("two.wav"));
                for event in [part(1), part(2), recorded(), part(3), recorded(), ended()] {
                    assert_eq!(recordings.take(event), None);
                }
                assert_eq!(recordings.take(ended()), Some(ended()), "nothing waits");
            },
        );
        assert_eq!(told, [recorded(), recorded(), ended()]);
        let read = |file| fs::read(data.path().join("files/3").join(file)).unwrap();
        let head = [b'H'; HEAD_BYTES];
        assert_eq!(read("one.wav"), [&head[..], &[1; 4], &[2; 4]].concat());
        assert_eq!(read("two.wav"), [&head[..], &[3; 4]].concat());
        let kept = fs::read_dir(data.path().join("files/3")).unwrap().count();
        assert_eq!(kept, 2);
    }

    #[test]
    fn of_a_recording_in_which_nothing_was_said_no_file_is_left() {
        let nothing = MediaEvent::Recorded {
            leg: leg(),
            head: vec![b'H'; HEAD_BYTES],
            length: Duration::ZERO,
            end: RecordEnd::Silence,
        };
        let (told, data) = run(
            |_| {},
            |recordings| {
                recordings.expect(leg(), ACCOUNT, &record("one.wav"));
                recordings.take(nothing.clone());
            },
        );
        assert_eq!(told, [nothing]);
        let kept = fs::read_dir(data.path().join("files/3")).unwrap().count();
        assert_eq!(kept, 0);
    }

    #[test]
    fn where_somebody_knows_its_name_a_recording_is_a_file_even_if_nothing_was_said() {
        let nothing = MediaEvent::Recorded {
            leg: leg(),
            head: vec![b'H'; HEAD_BYTES],
            length: Duration::ZERO,
            end: RecordEnd::Stopped,
        };
        let named = Record {
            both: true,
            ..record("one.wav")
        };
        let (told, data) = run(
            |_| {},
            |recordings| {
                recordings.expect(leg(), ACCOUNT, &named);
                recordings.take(nothing.clone());
            },
        );
        assert_eq!(told, [nothing]);
        let kept = fs::read(data.path().join("files/3/one.wav")).unwrap();
        assert_eq!(kept, [b'H'; HEAD_BYTES], "a head with nothing behind it");
    }

    #[test]
    fn what_cannot_be_written_is_told_as_not_kept() {
        for both in [false, true] {
            // A file where the folder should be.
            let (told, _data) = run(
                |data| fs::write(data.join("files"), "").unwrap(),
                |recordings| {
                    let record = Record {
                        both,
                        ..record("one.wav")
                    };
                    recordings.expect(leg(), ACCOUNT, &record);
                    recordings.take(part(1));
                    recordings.take(recorded());
                },
            );
            let [MediaEvent::Recorded { end, .. }] = &told[..] else {
                panic!("{told:?}")
            };
            assert_eq!(*end, RecordEnd::Unkept);
        }
    }

    #[test]
    fn many_recordings_at_once_are_together_no_longer_than_the_account_has_room() {
        let other = LegId {
            session: SessionId(2),
            place: 0,
        };
        let part_of = |leg| MediaEvent::Recording {
            leg,
            part: vec![1; 4],
        };
        let recorded_of = |leg| MediaEvent::Recorded {
            leg,
            head: vec![b'H'; HEAD_BYTES],
            length: Duration::from_secs(1),
            end: RecordEnd::Full,
        };
        let (told, data) = run(
            |data| {
                // All but ten bytes, none of which are on the disk.
                let folder = data.join("files/3");
                fs::create_dir_all(&folder).unwrap();
                let file = File::create(folder.join("long.wav")).unwrap();
                let long = model::limits::FILE_BYTES_PER_ACCOUNT - 10;
                file.set_len(long).unwrap();
            },
            |recordings| {
                recordings.expect(leg(), ACCOUNT, &record("one.wav"));
                recordings.expect(other, ACCOUNT, &record("two.wav"));
                for which in [leg(), other, leg()] {
                    recordings.take(part_of(which));
                }
                recordings.take(recorded_of(other));
                recordings.take(recorded_of(leg()));
            },
        );
        let ends = told.iter().map(|event| {
            let MediaEvent::Recorded { leg, end, .. } = event else {
                panic!("{event:?}");
            };
            (*leg, *end)
        });
        let expected = [(other, RecordEnd::Full), (leg(), RecordEnd::Unkept)];
        assert_eq!(ends.collect::<Vec<_>>(), expected);
        let folder = data.path().join("files/3");
        assert!(folder.join("two.wav").exists() && !folder.join("one.wav").exists());
    }

    #[test]
    fn of_a_leg_that_is_gone_before_its_recording_nothing_is_left() {
        let (told, data) = run(
            |_| {},
            |recordings| {
                recordings.expect(leg(), ACCOUNT, &record("one.wav"));
                recordings.take(part(1));
                recordings.take(ended());
            },
        );
        assert_eq!(told, [ended()]);
        let kept = fs::read_dir(data.path().join("files/3")).unwrap().count();
        assert_eq!(kept, 0);
    }
}
