//! Text becomes sound by a program of the operator's: the text on its input, a WAV file on its output.
//!
//! No word of the text is an argument, and nothing is run by a command shell. A program that takes too long, or says too much, is
//! killed by its process id, with what it has begun.

use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use model::{AccountId, limits};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

use crate::account_place::Turns;

/// What follows where nothing can speak.
const NOTHING_SPEAKS: &str = "texts cannot be spoken: this server has no program that speaks; install espeak-ng, or name \
                              one (speech_command)";

/// Whoever speaks; one for the node.
#[derive(Debug)]
pub(super) struct Speech {
    /// The program and its arguments.
    command: Option<Vec<String>>,
    patience: Duration,
    turns: Turns,
}

impl Speech {
    pub(super) fn new(command: Option<Vec<String>>, patience: Duration) -> Self {
        Self {
            command,
            patience,
            turns: Turns::new(limits::SPEECHES_AT_ONCE, limits::SPEECHES_PER_ACCOUNT),
        }
    }

    /// The sound of a text, or a sentence that says why there is none. Comes to an end in time, with that of waiting for others;
    /// by then `lately` may know it.
    pub(super) async fn speak(
        &self,
        account: AccountId,
        text: &str,
        voice: Option<&str>,
        lately: impl Fn() -> Option<Arc<[u8]>>,
    ) -> Result<Arc<[u8]>, String> {
        let Some((program, arguments)) = self.command.as_deref().and_then(<[_]>::split_first)
        else {
            return Err(NOTHING_SPEAKS.to_owned());
        };
        if text.len() > limits::SPEECH_BYTES {
            return Err(format!(
                "the text has {} bytes; {} may be spoken at once",
                text.len(),
                limits::SPEECH_BYTES
            ));
        }
        let mut command = Command::new(program);
        command.args(arguments);
        if let Some(voice) = voice {
            if !is_voice(voice) {
                return Err(format!(
                    "the voice {voice:?} is none: it must be letters, digits, '_', '+' and '-', and begin with a letter or digit"
                ));
            }
            command.args(["-v", voice]);
        }
        let speaking = async {
            let _turn = self.turns.take(account).await;
            match lately() {
                Some(known) => Ok(known),
                None => run(command, text).await.map(Into::into),
            }
        };
        let late = || {
            let seconds = self.patience.as_secs();
            Err(format!("it took longer than {seconds} s"))
        };
        let spoken = tokio::time::timeout(self.patience, speaking).await;
        spoken
            .unwrap_or_else(|_| late())
            .map_err(|why| format!("the text cannot be spoken by {program}: {why}"))
    }
}

/// Runs it to its end; dropped before, it kills the program.
async fn run(mut command: Command, text: &str) -> Result<Vec<u8>, String> {
    let fault = |error: std::io::Error| error.to_string();
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .process_group(0)
        .spawn()
        .map_err(fault)?;
    let mut group = Group(child.id());
    let mut input = child.stdin.take().ok_or("it has no input")?;
    let output = child.stdout.take().ok_or("it has no output")?;
    // At once: a program may speak before it has read all.
    let writing = async {
        // One that does not read to the end has heard enough.
        let _ = input.write_all(text.as_bytes()).await;
        drop(input);
    };
    let most = limits::SPEECH_SOUND_BYTES as u64;
    let mut sound = Vec::new();
    let mut output = output.take(most + 1);
    let ((), read) = tokio::join!(writing, output.read_to_end(&mut sound));
    read.map_err(fault)?;
    if sound.len() as u64 > most {
        return Err(format!("it makes more than {most} bytes of sound"));
    }
    let ended = child.wait().await;
    // From now on its number may be another's.
    group.0 = None;
    let status: ExitStatus = ended.map_err(fault)?;
    if !status.success() {
        return Err(format!("it ended with {status}"));
    }
    if sound.is_empty() {
        return Err("it said nothing".to_owned());
    }
    Ok(sound)
}

/// The program and what it has begun: a command shell may have whole pipelines. Killed when it is dropped.
struct Group(Option<u32>);

impl Drop for Group {
    fn drop(&mut self) {
        let id = self.0.and_then(|id| Pid::from_raw(id.try_into().ok()?));
        if let Some(id) = id
            && let Err(error) = kill_process_group(id, Signal::KILL)
        {
            tracing::debug!(%error, "a program that speaks has gone before it was killed");
        }
    }
}

/// What may be an argument, whatever reads it.
fn is_voice(voice: &str) -> bool {
    (1..=limits::FILE_NAME_BYTES).contains(&voice.len())
        && voice.starts_with(|first: char| first.is_ascii_alphanumeric())
        && voice
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_+-".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn speech(words: &[&str]) -> Speech {
        patient(words, limits::SPEECH_TIME)
    }

    fn patient(words: &[&str], patience: Duration) -> Speech {
        let words = words.iter().map(|word| (*word).to_owned());
        Speech::new(Some(words.collect()), patience)
    }

    async fn speak(speech: &Speech, text: &str, voice: Option<&str>) -> Result<Arc<[u8]>, String> {
        speech.speak(AccountId(1), text, voice, || None).await
    }

    #[tokio::test]
    async fn an_account_whose_programs_hang_leaves_room_for_others() {
        let folder = tempfile::tempdir().unwrap();
        let begun = folder.path().display();
        // Whoever says "hang" hangs, and says so.
        let script = format!(
            "read -r text; [ \"$text\" = hang ] || exec echo sound; touch {begun}/$$; exec sleep 600"
        );
        let speech = Arc::new(speech(&["sh", "-c", &script]));
        let mut hanging = tokio::task::JoinSet::new();
        for _ in 0..4 * limits::SPEECHES_AT_ONCE {
            let speech = Arc::clone(&speech);
            hanging.spawn(async move { speak(&speech, "hang\n", None).await });
        }
        let count = || std::fs::read_dir(folder.path()).unwrap().count();
        while count() < limits::SPEECHES_PER_ACCOUNT {
            tokio::task::yield_now().await;
        }
        let other = speech.speak(AccountId(2), "hello\n", None, || None);
        assert_eq!(&*other.await.unwrap(), b"sound\n");
        assert_eq!(count(), limits::SPEECHES_PER_ACCOUNT);
    }

    #[tokio::test]
    async fn the_text_goes_in_and_the_sound_comes_out() {
        let spoken = speak(&speech(&["cat"]), "hello; $(reboot)", None).await;
        assert_eq!(&*spoken.unwrap(), b"hello; $(reboot)");
        let voiced = speech(&["sh", "-c", "cat >/dev/null; echo \"$0 $1\""]);
        let spoken = speak(&voiced, "hello", Some("en-gb+f3")).await;
        assert_eq!(&*spoken.unwrap(), b"-v en-gb+f3\n");
        // One that speaks without having read.
        let deaf = speech(&["echo", "sound"]);
        let spoken = speak(&deaf, &"x".repeat(limits::SPEECH_BYTES), None).await;
        assert_eq!(&*spoken.unwrap(), b"sound\n");
    }

    #[tokio::test]
    async fn what_goes_wrong_is_said() {
        for (words, why) in [
            (&["offhook-speaks-not"][..], "No such file"),
            (&["false"], "ended with exit status: 1"),
            (&["true"], "said nothing"),
        ] {
            let sentence = speak(&speech(words), "hello", None).await.unwrap_err();
            assert!(
                sentence.contains(why) && sentence.contains(words[0]),
                "{sentence}"
            );
        }
        let sentence = speak(&Speech::new(None, limits::SPEECH_TIME), "hello", None)
            .await
            .unwrap_err();
        assert!(sentence.contains("install espeak-ng"), "{sentence}");
        for voice in ["", "-x", "en gb", "../x", "a;b"] {
            let sentence = speak(&speech(&["cat"]), "x", Some(voice))
                .await
                .unwrap_err();
            assert!(sentence.contains("the voice"), "{sentence}");
        }
        let long = "x".repeat(limits::SPEECH_BYTES + 1);
        let sentence = speak(&speech(&["cat"]), &long, None).await.unwrap_err();
        assert!(sentence.contains("may be spoken at once"), "{sentence}");
    }

    #[tokio::test]
    async fn a_program_that_says_too_much_is_ended() {
        let sentence = speak(&speech(&["yes"]), "hello", None).await.unwrap_err();
        assert!(sentence.contains("more than"), "{sentence}");
    }

    #[tokio::test]
    async fn a_program_that_takes_too_long_is_killed() {
        let folder = tempfile::tempdir().unwrap();
        let told = folder.path().join("pid");
        let hangs = format!("echo $$ > {}; exec sleep 600", told.display());
        let pipeline = format!("sh -c '{hangs}' | cat");
        for script in [hangs, pipeline] {
            let impatient = patient(&["sh", "-c", &script], Duration::from_secs(1));
            let sentence = speak(&impatient, "hello", None).await.unwrap_err();
            assert!(sentence.contains("longer than 1 s"), "{sentence}");
            let pid = std::fs::read_to_string(&told).unwrap();
            let state = format!("/proc/{}/stat", pid.trim());
            // Gone, or dead and not yet buried.
            let is_alive = || std::fs::read_to_string(&state).is_ok_and(|it| !it.contains(") Z"));
            let patience = std::time::Instant::now() + Duration::from_secs(20);
            while is_alive() {
                assert!(std::time::Instant::now() < patience, "{script} lives on");
                tokio::task::yield_now().await;
            }
        }
    }
}
