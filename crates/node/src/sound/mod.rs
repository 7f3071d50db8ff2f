//! Brings sounds: files of an account, and texts that are spoken.
//!
//! Decodes nothing: whether it can be played the gateway says.

mod cache;
mod config;
mod speech;

use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use model::{AccountId, FileName, SoundAnswer, SoundRequest, SoundSource, limits};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use self::cache::{Cache, Key};
pub use self::config::SpeechConfig;
use self::speech::Speech;
use crate::account_file::AccountFiles;

/// Whoever brings sounds; one for the node.
#[derive(Debug)]
pub(crate) struct Sounds {
    files: Arc<AccountFiles>,
    cache: Mutex<Cache>,
    speech: Speech,
    places: Arc<Semaphore>,
}

impl Sounds {
    pub(crate) fn new(files: Arc<AccountFiles>, speech: &SpeechConfig) -> Self {
        Self {
            files,
            cache: Mutex::new(Cache::new(limits::SOUND_CACHE_BYTES)),
            speech: Speech::new(speech.program(), limits::SPEECH_TIME),
            places: Arc::new(Semaphore::new(limits::SOUNDS_AT_ONCE)),
        }
    }

    /// A place among those that are brought at once, or a sentence that says that there is none.
    pub(crate) fn enter(&self) -> Result<OwnedSemaphorePermit, String> {
        Arc::clone(&self.places).try_acquire_owned().map_err(|_| {
            format!(
                "this server brings {} sounds at once, as many as it may",
                limits::SOUNDS_AT_ONCE
            )
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
            SoundSource::Speech { text, voice } => {
                let spoken = self.speech.speak(&text, voice.as_deref()).await;
                spoken.map(Into::into)
            }
        }
    }

    /// Waits for the disk.
    fn file(&self, account: AccountId, name: &FileName) -> SoundAnswer {
        let path = self.files.path(account, name);
        self.read(&path).map_err(|fault| match fault {
            Unread::Missing => format!("the account has no file {name}"),
            Unread::TooLong(length) => format!(
                "the file {name} has {length} bytes; a file that is played may have {}",
                limits::PLAY_FILE_BYTES
            ),
            Unread::Fault(error) => {
                tracing::error!(account = account.0, %error, "a file cannot be read");
                format!("the file {name} cannot be read; the server's log says why")
            }
        })
    }

    fn read(&self, path: &Path) -> Result<Arc<[u8]>, Unread> {
        let mut file = std::fs::File::open(path).map_err(Unread::of)?;
        let about = file.metadata().map_err(Unread::of)?;
        if !about.is_file() {
            return Err(Unread::Missing);
        }
        let most = limits::PLAY_FILE_BYTES as u64;
        if about.len() > most {
            return Err(Unread::TooLong(about.len()));
        }
        let key = Key {
            path: path.to_owned(),
            inode: about.ino(),
            modified: about.modified().ok(),
            length: about.len(),
        };
        let cache = || self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = cache().get(&key) {
            return Ok(known);
        }
        let mut bytes = Vec::with_capacity(about.len() as usize);
        // It may grow while it is read.
        let read = file.by_ref().take(most).read_to_end(&mut bytes);
        read.map_err(Unread::of)?;
        let bytes: Arc<[u8]> = bytes.into();
        cache().put(key, &bytes);
        Ok(bytes)
    }
}

enum Unread {
    Missing,
    TooLong(u64),
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
