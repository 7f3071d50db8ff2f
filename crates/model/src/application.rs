//! Applications: programs elsewhere that say, page by page, what happens to a call.
//!
//! The words between the softswitch, which runs them, and whoever fetches their pages and sounds. Never fetches anything.

use std::fmt;
use std::sync::Arc;

use crate::directory::SecretBytes;
use crate::id::{AccountId, FileName, PageUrl, RecordId, ServiceName};
use crate::limits;

/// An application that answers for a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Application {
    /// Asked first, when a call begins.
    pub first_page: Page,
    /// Told when the call has ended.
    pub final_page: Option<Page>,
    /// Told what went wrong.
    pub error_page: Option<Page>,
    /// Signs each request, so that the application knows that it is ours: see [`Application::parse_secret`].
    pub secret: SecretBytes,
}

impl Application {
    /// Takes a text as the secret that signs requests. The key of the HMAC is the text's own bytes, as they stand in an
    /// environment variable of the application: nothing is decoded.
    pub fn parse_secret(text: &str) -> Result<SecretBytes, InvalidSecret> {
        let is_valid = limits::APPLICATION_SECRET_BYTES.contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_graphic());
        if is_valid {
            Ok(SecretBytes::new(text.as_bytes().to_vec()))
        } else {
            Err(InvalidSecret)
        }
    }
}

/// A text that cannot be a signing secret. It is not told: it may be one all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a signing secret has {min} to {max} printable characters of ASCII, without spaces",
    min = limits::APPLICATION_SECRET_BYTES.start(),
    max = limits::APPLICATION_SECRET_BYTES.end()
)]
pub struct InvalidSecret;

/// A call that an account is to begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// Whose it is.
    pub account: AccountId,
    /// The number of its record; fresh.
    pub id: RecordId,
    /// Who is called: a destination as in pages, such as `webrtc:bob`.
    pub to: String,
    /// What they are told who calls.
    pub from: String,
    /// What becomes of it.
    pub then: Then,
}

impl Start {
    /// What the first page is told.
    pub fn token(&self) -> Option<&String> {
        match &self.then {
            Then::Application { token, .. } => token.as_ref(),
            Then::Connect(_) => None,
        }
    }
}

/// What becomes of a call that an account has begun, once it is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Then {
    /// An application says.
    Application {
        /// The service that it is an application of.
        service: ServiceName,
        /// Told to its first page, as if a page before had given it.
        token: Option<String>,
        /// Told to each of its pages; JSON.
        parameters: Option<Arc<str>>,
    },
    /// Whoever has answered is connected with somebody: what a page says in `connect`, in JSON.
    Connect(Arc<str>),
}

/// Where an application is asked what is next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Its address.
    pub url: PageUrl,
    /// How it is asked.
    pub method: PageMethod,
}

/// How a page is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PageMethod {
    /// With the instance's JSON as the body.
    #[default]
    Post,
    /// With the instance's JSON in the query argument `instance_info`.
    Get,
}

impl PageMethod {
    /// The method of HTTP, as services and pages write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Post => "POST",
            Self::Get => "GET",
        }
    }

    /// Reads it back.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Post, Self::Get]
            .into_iter()
            .find(|method| method.as_str() == text)
    }
}

/// A question of a shard whose answer comes later; unique in the shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QuestionId(pub u64);

/// A page that is to be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageRequest {
    /// Comes back with the answer.
    pub id: QuestionId,
    /// Whose application.
    pub account: AccountId,
    /// Where, and how.
    pub page: Page,
    /// The instance as JSON.
    pub instance: String,
    /// Signs the request.
    pub secret: SecretBytes,
}

/// What came of asking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PageAnswer {
    /// The application answered.
    Answered {
        /// The status of HTTP.
        status: u16,
        /// At most as long as [`PAGE_BYTES`](crate::limits::PAGE_BYTES).
        body: Vec<u8>,
    },
    /// It did not, says this sentence.
    Failed(String),
}

/// A sound that is to be brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SoundRequest {
    /// Comes back with the answer.
    pub id: QuestionId,
    /// Whose call.
    pub account: AccountId,
    /// What.
    pub source: SoundSource,
}

/// Where a sound comes from.
#[derive(Clone, PartialEq, Eq)]
pub enum SoundSource {
    /// A file of the account.
    File(FileName),
    /// A text to be spoken.
    Speech {
        /// What is said.
        text: String,
        /// By whom, in the words of whatever speaks.
        voice: Option<String>,
    },
}

impl fmt::Debug for SoundSource {
    /// What is said to a caller is nobody else's.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(name) => write!(f, "File({name})"),
            Self::Speech { text, voice } => {
                write!(f, "Speech({} bytes, {voice:?})", text.len())
            }
        }
    }
}

/// What came of bringing a sound: a whole file, or a sentence that says why there is none.
pub type SoundAnswer = Result<Arc<[u8]>, String>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_a_text_that_any_environment_can_hold() {
        for good in ["x".repeat(32), "~!".repeat(64)] {
            let secret = Application::parse_secret(&good).unwrap();
            assert_eq!(secret.expose(), good.as_bytes());
        }
        let with = |last: &str| "x".repeat(40) + last;
        for bad in [
            "x".repeat(31),
            "x".repeat(129),
            with(" "),
            with("\n"),
            with("ö"),
        ] {
            let fault = Application::parse_secret(&bad).unwrap_err().to_string();
            assert!(fault.contains("32 to 128 printable"), "{fault}");
            assert!(!fault.contains("xxx"), "{fault}");
        }
    }

    #[test]
    fn methods_are_read_back() {
        for method in [PageMethod::Post, PageMethod::Get] {
            assert_eq!(PageMethod::parse(method.as_str()), Some(method));
        }
        assert_eq!(PageMethod::parse("post"), None);
    }
}
