//! A script whose caller and a bot hear each other: what opens the stream, and what comes of it.
//!
//! The sound is the gateway's, and the socket the shell's: none of it comes here.

use std::time::Duration;

use model::media::{LegId, MediaCommand, Stream, StreamEnd, StreamRate, StreamStop};
use model::{Instant, Page, PageUrl, SecretBytes, limits};
use serde_json::{Value, json};
use url::Url;

use super::action::Streaming;
use super::doing::{Doing, Streamed};
use super::instance::Told;
use super::page::Fault;
use super::run::Run;
use super::script::{Script, Step};
use super::shape::StreamShape;
use crate::call::Act;

/// A stream to be opened.
#[derive(Debug)]
pub(crate) struct Opening {
    number: u64,
    url: PageUrl,
    rate: StreamRate,
    token: Option<String>,
}

/// The stream that a page of this address wants.
pub(super) fn streaming(shape: &StreamShape, base: &Url, next: Page) -> Result<Streaming, Fault> {
    let hz = shape.sample_rate.unwrap_or(StreamRate::default().hz());
    let rate = StreamRate::of_hz(hz).ok_or("'sample_rate' must be 8000 or 16000")?;
    let most = limits::STREAM_TIME.as_secs();
    let seconds = shape.seconds_max_duration.map_or(most, u64::from);
    if !(1..=most).contains(&seconds) {
        return Err(format!("'seconds_max_duration' must be from 1 to {most}"));
    }
    Ok(Streaming {
        url: address(&shape.url, base)?,
        rate,
        longest: Duration::from_secs(seconds),
        next,
    })
}

/// With the scheme of HTTP that its handshake is made by (RFC 6455 §3). One that is relative has it already.
fn address(text: &str, base: &Url) -> Result<PageUrl, Fault> {
    let mut url = base.join(text).map_err(|error| format!("'url': {error}"))?;
    let is_relative = Url::parse(text).is_err();
    let scheme = match url.scheme() {
        "ws" => "http",
        "wss" => "https",
        "http" if is_relative => "http",
        "https" if is_relative => "https",
        _ => return Err("'url' must be an address of ws: or wss:".to_owned()),
    };
    url.set_scheme(scheme)
        .map_err(|()| "'url' must be an address of ws: or wss:".to_owned())?;
    url.set_fragment(None);
    // What is told of it must not be of another scheme than was written.
    PageUrl::parse(url.as_str())
        .map_err(|_| "'url' must have a host, no user, and at most 2,048 characters".to_owned())
}

impl Script {
    pub(super) fn stream(&mut self, now: Instant, streaming: Streaming) {
        let number = self.questions.next().0;
        self.steps.push(Step::Stream(Opening {
            number,
            url: streaming.url,
            rate: streaming.rate,
            token: self.token.clone(),
        }));
        self.doing = Doing::Streaming(Streamed {
            number,
            next: streaming.next,
            since: now,
            until: now + streaming.longest,
        });
    }

    /// The gateway has ended it, or it is not to be had.
    pub(super) fn on_streamed(&mut self, now: Instant, number: u64, end: &StreamEnd) {
        let of_it = matches!(&self.doing, Doing::Streaming(streamed) if streamed.number == number);
        if !of_it || self.is_ended {
            return;
        }
        match end {
            StreamEnd::Result(json) => {
                let result = serde_json::from_str(json).unwrap_or_default();
                self.tell_streamed(now, "ended", result);
            }
            StreamEnd::Closed => self.tell_streamed(now, "closed", Value::Null),
            StreamEnd::Failed(why) => {
                self.doing = Doing::Nothing;
                self.fail(Some("stream"), why);
            }
            // The call ends by what has ended its sound.
            StreamEnd::Stopped(_) => {}
        }
    }

    /// It has lasted as long as it may.
    pub(super) fn on_stream_time(&mut self, now: Instant) {
        let (leg, why) = (self.leg, StreamStop::Duration);
        self.steps
            .push(Step::Media(MediaCommand::StopStream { leg, why }));
        self.tell_streamed(now, why.as_str(), Value::Null);
    }

    pub(super) fn stop_stream(&mut self, why: StreamStop) {
        if let Doing::Streaming(_) = &self.doing {
            let leg = self.leg;
            self.doing = Doing::Nothing;
            self.steps
                .push(Step::Media(MediaCommand::StopStream { leg, why }));
        }
    }

    pub(super) fn tell_streamed(&mut self, now: Instant, cause: &'static str, result: Value) {
        let Doing::Streaming(streamed) = std::mem::replace(&mut self.doing, Doing::Nothing) else {
            return;
        };
        let lasted = now.since(streamed.since).as_secs_f64();
        let result = json!({
            "cause": cause,
            "result": result,
            "seconds_duration": (lasted * 10.0).round() / 10.0,
        });
        self.ask_with_result(streamed.next, "stream", result);
    }
}

impl Opening {
    /// Whose it is, `told` says.
    pub(super) fn command(
        self,
        leg: LegId,
        mut told: Told<'_>,
        secret: &SecretBytes,
    ) -> MediaCommand {
        told.token = self.token;
        let stream = Stream {
            number: self.number,
            url: self.url,
            rate: self.rate,
            greeting: told.greeting(self.rate),
            instance: told.instance.to_owned(),
            secret: secret.clone(),
        };
        MediaCommand::Stream {
            leg,
            stream: Box::new(stream),
        }
    }
}

impl Run {
    pub(super) fn stream(&self, opening: Opening, act: &mut Act<'_>) {
        let Some(secret) = &self.secret else {
            return;
        };
        let told = self.told(act.now.unix);
        let command = opening.command(self.leg(self.first), told, secret);
        self.tell_gateway(command, act);
    }
}

#[cfg(test)]
mod tests {
    use super::super::action::Action;
    use super::super::page;
    use super::*;

    fn read(shape: &Value) -> Result<Streaming, String> {
        let page = json!({ "actions": [{ "stream": shape }] });
        let base = PageUrl::parse("https://app.example/ivr/first").unwrap();
        let mut answer = page::read(page.to_string().as_bytes(), &base)?;
        let Some(Action::Stream(streaming)) = answer.actions.pop_front() else {
            panic!("it is a stream");
        };
        Ok(streaming)
    }

    #[test]
    fn where_a_bot_is_may_be_said_relative_to_the_page() {
        for (url, whole) in [
            (
                "wss://bot.example/audio?a=b#c",
                "https://bot.example/audio?a=b",
            ),
            ("ws://bot.example:8000", "http://bot.example:8000/"),
            ("audio", "https://app.example/ivr/audio"),
            ("//bot.example/x", "https://bot.example/x"),
        ] {
            let streaming = read(&json!({ "url": url, "next_page": { "url": "next" } })).unwrap();
            assert_eq!(streaming.url.as_str(), whole);
            assert_eq!(streaming.rate, StreamRate::Hz8000);
            assert_eq!(streaming.longest, limits::STREAM_TIME);
            assert_eq!(streaming.next.url.as_str(), "https://app.example/ivr/next");
        }
    }

    #[test]
    fn what_is_no_stream_is_told() {
        let next = json!({ "url": "next" });
        for (shape, word) in [
            (
                json!({ "url": "https://bot.example", "next_page": next }),
                "ws: or wss:",
            ),
            (
                json!({ "url": "file:///etc/passwd", "next_page": next }),
                "ws: or wss:",
            ),
            (
                json!({ "url": "wss://u:p@bot.example", "next_page": next }),
                "no user",
            ),
            (
                json!({ "url": "a", "sample_rate": 44_100, "next_page": next }),
                "8000 or 16000",
            ),
            (
                json!({ "url": "a", "seconds_max_duration": 0, "next_page": next }),
                "from 1 to 3600",
            ),
            (
                json!({ "url": "a", "seconds_max_duration": 3601, "next_page": next }),
                "from 1 to 3600",
            ),
            (
                json!({ "url": "a", "direction": "in", "next_page": next }),
                "`direction`",
            ),
            (json!({ "url": "a" }), "`next_page`"),
        ] {
            let why = read(&shape).unwrap_err();
            assert!(why.contains(word), "{why}");
        }
    }
}
