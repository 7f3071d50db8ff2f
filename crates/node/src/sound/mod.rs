//! Brings sounds: files of an account, and texts that are spoken.
//!
//! Compressed files are decoded here, where nobody's sound waits for it. Whether the rest can be played the gateway says.

mod config;
mod decoding;
mod shelf;
mod speech;

use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use model::{AccountId, FileName, SoundAnswer, SoundRequest, SoundSource, limits};

pub use self::config::SpeechConfig;
use self::decoding::Decoders;
use self::shelf::{Got, Key, NoRoom, Shelf};
use self::speech::Speech;
use crate::account_file::AccountFiles;
use crate::account_place::{NoPlace, Place, Places};

/// Whoever brings sounds; one for the node.
#[derive(Debug)]
pub(crate) struct Sounds {
    files: Arc<AccountFiles>,
    shelf: Shelf,
    speech: Speech,
    decoders: Decoders,
    places: Arc<Places>,
}

impl Sounds {
    pub(crate) fn new(files: Arc<AccountFiles>, speech: &SpeechConfig) -> Self {
        Self {
            files,
            shelf: Shelf::default(),
            speech: Speech::new(speech.program(), limits::SPEECH_TIME),
            decoders: Decoders::default(),
            places: Places::new(limits::SOUNDS_AT_ONCE, limits::SOUNDS_PER_ACCOUNT),
        }
    }

    /// A place among those that are brought at once, or a sentence that says that there is none.
    pub(crate) fn enter(&self, account: AccountId) -> Result<Place, String> {
        self.places.enter(account).map_err(|full| match full {
            NoPlace::All(count) => {
                format!("this server brings {count} sounds at once, as many as it may")
            }
            NoPlace::Account(count) => format!(
                "{count} sounds of this account are being brought already, as many as may be; does it have many long texts spoken?"
            ),
        })
    }

    /// Brings one; comes to an end in time.
    pub(crate) async fn bring(self: Arc<Self>, asked: SoundRequest) -> SoundAnswer {
        match asked.source {
            SoundSource::File(name) => {
                let reading = tokio::task::spawn_blocking(move || self.file(asked.account, &name));
                let read = reading.await;
                read.unwrap_or_else(|_| {
                    Err("the server met a bug while it read the file".to_owned())
                })
            }
            SoundSource::Speech { text, voice } => self.spoken(asked.account, text, voice).await,
        }
    }

    async fn spoken(&self, account: AccountId, text: String, voice: Option<String>) -> SoundAnswer {
        let key = Key::Speech {
            text: text.clone(),
            voice: voice.clone(),
        };
        let lately = || self.shelf.get(account, &key);
        let spoken = match lately() {
            Some(known) => return Ok(known),
            None => {
                let speaking = self.speech.speak(account, &text, voice.as_deref(), lately);
                speaking.await?
            }
        };
        let kept = self.shelf.put(account, key, spoken);
        kept.map_err(|full| format!("the text is not spoken: {full}"))
    }

    /// Waits for the disk.
    fn file(&self, account: AccountId, name: &FileName) -> SoundAnswer {
        let path = self.files.path(account, name);
        self.read(account, &path).map_err(|fault| match fault {
            Unread::Missing => format!("the account has no file {name}"),
            Unread::NoRoom(full) => format!("the file {name} is not read: {full}"),
            Unread::TooLong(length) => format!(
                "the file {name} has {length} bytes; a file that is played may have {}",
                limits::PLAY_FILE_BYTES
            ),
            Unread::Undecodable(why) => format!("the file {name} is not played: {why}"),
            Unread::Fault(error) => {
                tracing::error!(account = account.0, %error, "a file cannot be read");
                format!("the file {name} cannot be read; the server's log says why")
            }
        })
    }

    fn read(&self, account: AccountId, path: &Path) -> Result<Arc<[u8]>, Unread> {
        let mut file = std::fs::File::open(path).map_err(Unread::of)?;
        let about = file.metadata().map_err(Unread::of)?;
        if !about.is_file() {
            return Err(Unread::Missing);
        }
        let most = limits::PLAY_FILE_BYTES as u64;
        if about.len() > most {
            return Err(Unread::TooLong(about.len()));
        }
        let length = about.len() as usize;
        let key = Key::File {
            path: path.to_owned(),
            inode: about.ino(),
            modified: about.modified().ok(),
            length: about.len(),
        };
        let mut turn = match self.shelf.get_or_bring(account, key, length) {
            Ok(Got::Sound(known)) => return Ok(known),
            Ok(Got::Refused(why)) => return Err(Unread::Undecodable(why.to_string())),
            Ok(Got::Turn(turn)) => turn,
            Err(full) => return Err(Unread::NoRoom(full)),
        };
        // As long as there is room for, though it may grow while it is read, and where it is to stay.
        let mut bytes: Arc<[u8]> = std::iter::repeat_n(0, length).collect();
        let place = Arc::get_mut(&mut bytes).expect("nobody else has it yet");
        file.read_exact(place).map_err(Unread::of)?;
        match self.decoders.decode(account, &bytes, &mut turn) {
            Ok(None) => {}
            Ok(Some(decoded)) => {
                turn.shrink(length);
                bytes = decoded;
            }
            Err(Unread::Undecodable(why)) => {
                turn.refuse(&why);
                return Err(Unread::Undecodable(why));
            }
            Err(fault) => return Err(fault),
        }
        turn.done(&bytes);
        Ok(bytes)
    }
}

enum Unread {
    Missing,
    TooLong(u64),
    NoRoom(NoRoom),
    Undecodable(String),
    Fault(io::Error),
}

impl Unread {
    fn of(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::NotFound {
            Self::Missing
        } else {
            Self::Fault(error)
        }
    }
}

#[cfg(test)]
mod tests {
    use model::QuestionId;

    use super::*;

    async fn bring(sounds: &Arc<Sounds>, account: u32, name: &str) -> SoundAnswer {
        let asked = SoundRequest {
            id: QuestionId(1),
            account: AccountId(account),
            source: SoundSource::File(FileName::parse(name).unwrap()),
        };
        Arc::clone(sounds).bring(asked).await
    }

    #[tokio::test]
    async fn a_file_is_the_accounts_own_and_read_anew_when_it_has_changed() {
        let data = tempfile::tempdir().unwrap();
        let files = Arc::new(AccountFiles::new(data.path()));
        let sounds = Arc::new(Sounds::new(Arc::clone(&files), &SpeechConfig::default()));
        assert_eq!(
            bring(&sounds, 1, "hello.wav").await.unwrap_err(),
            "the account has no file hello.wav"
        );
        let unfinished = files.unfinished(AccountId(1)).unwrap();
        std::fs::write(&unfinished, "one").unwrap();
        let path = files.path(AccountId(1), &FileName::parse("hello.wav").unwrap());
        std::fs::rename(unfinished, &path).unwrap();
        let first = bring(&sounds, 1, "hello.wav").await.unwrap();
        assert_eq!(&*first, b"one");
        let again = bring(&sounds, 1, "hello.wav").await.unwrap();
        assert!(Arc::ptr_eq(&first, &again), "it was not read again");
        std::fs::write(&path, "longer").unwrap();
        assert_eq!(&*bring(&sounds, 1, "hello.wav").await.unwrap(), b"longer");
        assert!(bring(&sounds, 2, "hello.wav").await.is_err());
        // A folder is no file.
        std::fs::create_dir(data.path().join("files/1/folder")).unwrap();
        assert!(bring(&sounds, 1, "folder").await.is_err());
    }

    #[tokio::test]
    async fn compressed_files_are_brought_as_wav_and_count_as_what_they_become() {
        let data = tempfile::tempdir().unwrap();
        let files = Arc::new(AccountFiles::new(data.path()));
        let sounds = Arc::new(Sounds::new(Arc::clone(&files), &SpeechConfig::default()));
        files.unfinished(AccountId(1)).unwrap();
        let keep = |name: &str, bytes: &[u8]| {
            let path = files.path(AccountId(1), &FileName::parse(name).unwrap());
            std::fs::write(path, bytes).unwrap();
        };
        // What it is called says nothing.
        keep(
            "tone.wav",
            include_bytes!("../../../../fuzz/corpus/compressed/tone.mp3"),
        );
        keep("cut.mp3", b"ID3\x04\x00\x00\x00\x00\x00\x00rest");
        let heard = bring(&sounds, 1, "tone.wav").await.unwrap();
        assert!(
            heard.starts_with(b"RIFF") && heard.len() > 12_000,
            "{}",
            heard.len()
        );
        let again = bring(&sounds, 1, "tone.wav").await.unwrap();
        assert!(Arc::ptr_eq(&heard, &again), "it is decoded once");
        let why = bring(&sounds, 1, "cut.mp3").await.unwrap_err();
        assert!(
            why.starts_with("the file cut.mp3 is not played: the MP3 file"),
            "{why}"
        );

        let mut small = Sounds::new(Arc::clone(&files), &SpeechConfig::default());
        small.shelf = Shelf::new(shelf::Bounds {
            kept: 10,
            account: 500_000,
            node: 500_000,
        });
        let why = bring(&Arc::new(small), 1, "tone.wav").await.unwrap_err();
        assert!(why.contains("500000 bytes of memory"), "{why}");
    }

    #[tokio::test]
    async fn what_many_calls_hear_is_there_once_and_has_a_bound() {
        let data = tempfile::tempdir().unwrap();
        let files = Arc::new(AccountFiles::new(data.path()));
        let config = SpeechConfig {
            command: Some(["sh", "-c", "cat; echo $$"].map(str::to_owned).to_vec()),
        };
        let mut sounds = Sounds::new(Arc::clone(&files), &config);
        sounds.shelf = Shelf::new(shelf::Bounds {
            kept: 10,
            account: 1_000,
            node: 1_500,
        });
        let sounds = Arc::new(sounds);
        for account in [1, 2] {
            files.unfinished(AccountId(account)).unwrap();
            for name in ["a.wav", "b.wav"] {
                let path = files.path(AccountId(account), &FileName::parse(name).unwrap());
                std::fs::write(path, [1; 600]).unwrap();
            }
        }
        let mut calls = tokio::task::JoinSet::new();
        for _ in 0..100 {
            let sounds = Arc::clone(&sounds);
            calls.spawn(async move { bring(&sounds, 1, "a.wav").await.unwrap() });
        }
        let heard = calls.join_all().await;
        assert!(heard.iter().all(|sound| Arc::ptr_eq(sound, &heard[0])));
        let sentence = bring(&sounds, 1, "b.wav").await.unwrap_err();
        assert!(sentence.contains("b.wav is not read") && sentence.contains("1000 bytes"));
        let other = bring(&sounds, 2, "a.wav").await.unwrap();
        drop(heard);
        bring(&sounds, 1, "b.wav").await.unwrap();
        drop(other);

        let speak = |text: &str| {
            let asked = SoundRequest {
                id: QuestionId(1),
                account: AccountId(1),
                source: SoundSource::Speech {
                    text: text.to_owned(),
                    voice: None,
                },
            };
            Arc::clone(&sounds).bring(asked)
        };
        let spoken = speak("hello").await.unwrap();
        assert!(Arc::ptr_eq(&spoken, &speak("hello").await.unwrap()));
        let sentence = speak(&"x".repeat(1_000)).await.unwrap_err();
        assert!(sentence.contains("the text is not spoken"), "{sentence}");
    }

    #[tokio::test]
    async fn a_file_that_is_too_long_is_told_and_not_read() {
        let data = tempfile::tempdir().unwrap();
        let files = Arc::new(AccountFiles::new(data.path()));
        let sounds = Arc::new(Sounds::new(Arc::clone(&files), &SpeechConfig::default()));
        files.unfinished(AccountId(1)).unwrap();
        let path = files.path(AccountId(1), &FileName::parse("long.wav").unwrap());
        let file = std::fs::File::create(path).unwrap();
        file.set_len(limits::PLAY_FILE_BYTES as u64 + 1).unwrap();
        let sentence = bring(&sounds, 1, "long.wav").await.unwrap_err();
        assert!(sentence.contains("may have 134217728"), "{sentence}");
    }
}
