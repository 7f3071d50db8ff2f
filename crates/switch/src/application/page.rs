//! What a page answers: a list of actions, checked whole before any of them runs.
//!
//! The shapes are those of docs/applications.md. An answer with a fault anywhere runs not at all: the sentence that comes back says what
//! was wrong and where. Never fetches and never runs anything.

mod json;
mod prompt;

use std::collections::VecDeque;
use std::time::Duration;

use model::media::Digit;
use model::{Page, PageAnswer, PageMethod, PageUrl, limits};
use url::Url;

use super::action::{
    Action, Confer, Connect, Destination, Entry, EntryKind, Keys, Menu, MenuOption, Participant,
    Recording, SecondaryCall,
};

use super::few::Few;
use super::shape::{
    ActionShape, AnswerShape, ConferShape, ConnectShape, Empty, GetInputShape, GetNumberShape,
    PageShape, ParticipantShape, PromptShape, RecordShape, RejectShape, RunMenuShape,
    SecondaryShape, SleepShape, WebPageShape,
};
use super::streaming::streaming;
use crate::call::printable;

pub(super) use json::object;
pub(super) use prompt::prompt;
use prompt::{optional, unwrapped};

/// What a page wants done.
#[derive(Debug)]
pub(crate) struct Answer {
    /// In this order.
    pub(crate) actions: VecDeque<Action>,
    /// Given back with the next request.
    pub(crate) token: Option<String>,
}

/// What is wrong, in a sentence.
pub(crate) type Fault = String;

/// What a page wants, if it has answered as pages do.
pub(crate) fn answered(page: &Page, answer: PageAnswer) -> Result<Answer, Fault> {
    match answer {
        PageAnswer::Failed(why) => Err(why),
        PageAnswer::Answered { status: 204, .. } => Ok(Answer {
            actions: VecDeque::new(),
            token: None,
        }),
        PageAnswer::Answered { status: 200, body } => {
            read(&body, &page.url).map_err(|why| format!("{}: {why}", page.url))
        }
        PageAnswer::Answered { status, .. } => Err(format!(
            "{} answered with status {status}, not 200",
            page.url
        )),
    }
}

/// Whether an answer of the page at this address can be done: how many actions it has, or what is wrong with it, in the words that
/// the application's error page would be told.
pub fn check_page(body: &[u8], address: &PageUrl) -> Result<usize, String> {
    match read(body, address) {
        Ok(answer) => Ok(answer.actions.len()),
        Err(why) => Err(printable(&why, limits::PAGE_FAULT_CHARS)),
    }
}

/// Reads the body that the page at `base` answered with; addresses in it may be relative to that.
pub(crate) fn read(body: &[u8], base: &PageUrl) -> Result<Answer, Fault> {
    let answer: PageShape =
        json::object(body).map_err(|why| format!("the answer is no page: {}", of_page(why)))?;
    if let Some(version) = answer.api_version
        && version != "2.0"
    {
        let version: String = version.chars().take(32).collect();
        return Err(format!("'api_version' must be \"2.0\", not {version:?}"));
    }
    if answer.actions.len() > limits::PAGE_ACTIONS {
        return Err(format!(
            "a page has at most {} actions",
            limits::PAGE_ACTIONS
        ));
    }
    let token = answer.token;
    if token
        .as_ref()
        .is_some_and(|token| token.len() > limits::PAGE_TOKEN_BYTES)
    {
        return Err(format!(
            "'token' may have {} bytes",
            limits::PAGE_TOKEN_BYTES
        ));
    }
    let base = Url::parse(base.as_str()).map_err(|error| format!("{base}: {error}"))?;
    let reader = Reader { base: &base };
    let actions = (1..)
        .zip(answer.actions)
        .map(|(number, shape)| {
            let name = shape.name();
            reader
                .action(shape)
                .map_err(|why| format!("action {number}, {name}: {why}"))
        })
        .collect::<Result<_, _>>()?;
    Ok(Answer { actions, token })
}

/// What a `connect` says that stands in no page: nothing is asked when it is over.
pub(super) fn connect_alone(body: &[u8]) -> Result<Connect, Fault> {
    let shape: ConnectShape = json::object(body)?;
    if shape.next_page.is_some() || shape.secondary_call.is_some() {
        return Err("'next_page' and 'secondary_call' have their place in pages alone".to_owned());
    }
    connect(shape)
}

/// Which object was to be there, where there is none.
fn of_page(why: Fault) -> Fault {
    match why.ends_with("expected an object") {
        true => format!("{why} with 'actions'"),
        false => why,
    }
}

/// Turns shapes into what they mean.
struct Reader<'a> {
    base: &'a Url,
}

impl Reader<'_> {
    fn action(&self, shape: ActionShape) -> Result<Action, Fault> {
        match shape {
            ActionShape::Answer(shape) => answer(shape),
            ActionShape::Reject(shape) => reject(&shape),
            ActionShape::HangUp(Empty {}) => Ok(Action::HangUp),
            ActionShape::Play(shape) => prompt(shape).map(Action::Play),
            ActionShape::Record(shape) => self.record(shape),
            ActionShape::GetNumber(shape) => self.get_number(shape),
            ActionShape::GetInput(shape) => self.get_input(shape),
            ActionShape::RunMenu(shape) => self.run_menu(shape),
            ActionShape::Connect(shape) => self.connect(shape),
            ActionShape::Sleep(SleepShape { seconds }) => {
                let most = limits::APPLICATION_SLEEP.as_secs_f64();
                if !(0.0..=most).contains(&seconds) {
                    return Err(format!("'seconds' must be from 0 to {most}"));
                }
                Ok(Action::Sleep(Duration::from_secs_f64(seconds)))
            }
            ActionShape::Redirect(shape) => Ok(Action::Redirect(self.page(&shape.next_page)?)),
            ActionShape::ConnectToConference(shape) => self.confer(shape),
            ActionShape::Stream(shape) => {
                let next = self.page(&shape.next_page)?;
                streaming(&shape, self.base, next).map(Action::Stream)
            }
            ActionShape::RunSpeechMenu(_) | ActionShape::StartTranscription(_) => {
                Err("there is no speech recognition here".to_owned())
            }
            ActionShape::SendFax(_) | ActionShape::ReceiveFax(_) => {
                Err("there is no fax here".to_owned())
            }
        }
    }

    fn page(&self, shape: &WebPageShape) -> Result<Page, Fault> {
        self.page_of("next_page", shape)
    }

    fn page_of(&self, name: &str, shape: &WebPageShape) -> Result<Page, Fault> {
        let method = match &shape.method {
            None => PageMethod::Post,
            Some(method) => PageMethod::parse(method)
                .ok_or_else(|| format!("'{name}.method' must be \"GET\" or \"POST\""))?,
        };
        let mut url = self
            .base
            .join(&shape.url)
            .map_err(|error| format!("'{name}.url': {error}"))?;
        url.set_fragment(None);
        let url = PageUrl::parse(url.as_str()).map_err(|error| error.to_string())?;
        Ok(Page { url, method })
    }

    fn record(&self, shape: RecordShape) -> Result<Action, Fault> {
        if let Some(format) = &shape.format
            && !matches!(format.as_str(), "alaw" | "ulaw")
        {
            return Err("'format' must be \"alaw\" or \"ulaw\"".to_owned());
        }
        let longest = Duration::from_secs(shape.seconds_max_duration.unwrap_or(60).into());
        if longest.is_zero() || longest > limits::RECORD_TIME {
            return Err(format!(
                "'seconds_max_duration' must be from 1 to {}",
                limits::RECORD_TIME.as_secs()
            ));
        }
        let silence = |given: Option<u32>, usual| {
            let silence = Duration::from_millis(given.unwrap_or(usual).into());
            if silence > limits::RECORD_SILENCE {
                return Err(format!(
                    "silence of more than {} ms is not waited for",
                    limits::RECORD_SILENCE.as_millis()
                ));
            }
            Ok((!silence.is_zero()).then_some(silence))
        };
        let later = silence(shape.milliseconds_max_silence, 3_000)?;
        let first = silence(shape.milliseconds_max_initial_silence, 0)?.or(later);
        Ok(Action::Record(Recording {
            next: self.page(&shape.next_page)?,
            stop: Keys::parse(
                "barge_in_digits",
                shape.barge_in_digits.as_deref().unwrap_or("#"),
            )?,
            longest,
            first_silence: first,
            silence: later,
            beep: shape.beep_on_start,
            available: shape
                .recording_available_page
                .map(|page| self.page_of("recording_available_page", &page))
                .transpose()?,
        }))
    }

    fn get_number(&self, shape: GetNumberShape) -> Result<Action, Fault> {
        let between = match shape.milliseconds_inter_digit_timeout.unwrap_or(5_000) {
            ..=0 => None,
            millis => Some(wait("milliseconds_inter_digit_timeout", millis)?),
        };
        let first = match shape.milliseconds_initial_timeout {
            None => between,
            Some(..=0) => None,
            Some(millis) => Some(wait("milliseconds_initial_timeout", millis)?),
        };
        let whole = shape.seconds_timeout.unwrap_or(30);
        Ok(Action::Enter(Entry {
            kind: EntryKind::Number,
            next: self.page(&shape.next_page)?,
            prompt: optional(shape.prompt)?,
            count: count(shape.digit_count)?,
            end: end_digit(shape.digit_count, shape.end_digit.as_deref())?,
            valid: valid(shape.valid_digits.as_deref())?,
            help: Keys::at_most_one("help_digit", shape.help_digit.as_deref().unwrap_or("*"))?,
            whole: wait("seconds_timeout", i64::from(whole) * 1_000)?,
            first,
            between,
        }))
    }

    fn get_input(&self, shape: GetInputShape) -> Result<Action, Fault> {
        if shape
            .speech_input_mode
            .is_some_and(|mode| mode != "disabled")
        {
            return Err("there is no speech recognition here: leave 'speech_input_mode' out, or say \"disabled\"".to_owned());
        }
        if shape.digit_input_enabled == Some(false) {
            return Err(
                "there is no speech recognition here, so 'digit_input_enabled' must be true"
                    .to_owned(),
            );
        }
        let digits = shape.digit_input_options.unwrap_or_default();
        let between = limits::APPLICATION_BETWEEN_DIGITS;
        Ok(Action::Enter(Entry {
            kind: EntryKind::Input,
            next: self.page(&shape.next_page)?,
            prompt: optional(shape.prompt)?,
            count: count(digits.digit_count)?,
            end: end_digit(digits.digit_count, digits.end_digit.as_deref())?,
            valid: valid(digits.valid_digits.as_deref())?,
            help: None,
            whole: limits::APPLICATION_ENTRY,
            first: Some(between),
            between: Some(between),
        }))
    }

    fn run_menu(&self, shape: RunMenuShape) -> Result<Action, Fault> {
        if shape.menu_options.is_empty() {
            return Err("'menu_options' needs at least one option".to_owned());
        }
        let mut options: Vec<MenuOption> = Vec::new();
        for option in shape.menu_options.iter() {
            let digit = Keys::one("menu_options.digit", &option.digit)?;
            if options.iter().any(|known| known.digit == digit) {
                return Err(format!("the digit {digit} has two options"));
            }
            let next = self.page(&option.next_page)?;
            options.push(MenuOption { digit, next });
        }
        let help = Keys::at_most_one("help_digit", shape.help_digit.as_deref().unwrap_or("*"))?;
        let prompt = optional(shape.prompt)?;
        let messages = |given: Option<Few<PromptShape, { limits::MENU_MESSAGES }>>| match given {
            None => Ok(vec![prompt.clone().unwrap_or_default(); 2]),
            Some(given) if given.len() > limits::MENU_MESSAGES => Err(format!(
                "a menu has at most {} messages of one kind",
                limits::MENU_MESSAGES
            )),
            Some(given) => given.into_iter().map(unwrapped).collect(),
        };
        let on_timeout = messages(shape.on_digit_timeout_messages)?;
        let on_invalid = messages(shape.on_invalid_digit_messages)?;
        let wait_ms = i64::from(shape.seconds_digit_timeout.unwrap_or(5)) * 1_000;
        Ok(Action::Menu(Menu {
            help: help.filter(|help| options.iter().all(|option| option.digit != *help)),
            options,
            prompt,
            wait: wait("seconds_digit_timeout", wait_ms)?,
            on_timeout,
            on_invalid,
        }))
    }

    fn confer(&self, shape: ConferShape) -> Result<Action, Fault> {
        let is_named = !shape.name.is_empty() && !shape.name.chars().any(char::is_control);
        if !is_named || shape.name.len() > limits::CONFERENCE_NAME_BYTES {
            return Err(format!(
                "'name' must be 1 to {} bytes without control characters",
                limits::CONFERENCE_NAME_BYTES
            ));
        }
        let participant = participant(&shape.conference_participant)?;
        let while_stopped = shape.conference_participant.while_stopped_media;
        Ok(Action::Confer(Confer {
            name: shape.name,
            hold: optional(while_stopped.or(shape.hold_media))?,
            participant,
            next: shape.next_page.map(|next| self.page(&next)).transpose()?,
        }))
    }

    fn connect(&self, mut shape: ConnectShape) -> Result<Action, Fault> {
        let next = shape.next_page.take();
        let secondary = shape.secondary_call.take();
        let mut connect = connect(shape)?;
        connect.next = next.map(|next| self.page(&next)).transpose()?;
        connect.secondary = secondary
            .map(|secondary| self.secondary(&secondary))
            .transpose()?;
        Ok(Action::Connect(connect))
    }

    fn secondary(&self, shape: &SecondaryShape) -> Result<SecondaryCall, Fault> {
        let page = |name, shape: &Option<WebPageShape>| {
            let name = format!("secondary_call.{name}");
            shape
                .as_ref()
                .map(|page| self.page_of(&name, page))
                .transpose()
        };
        Ok(SecondaryCall {
            first: page("first_page", &shape.first_page)?,
            last: page("final_page", &shape.final_page)?,
            error: page("error_page", &shape.error_page)?,
        })
    }
}

/// Without pages.
fn connect(shape: ConnectShape) -> Result<Connect, Fault> {
    if shape.destinations.is_empty() || shape.destinations.len() > limits::CONNECT_DESTINATIONS {
        return Err(format!(
            "'destinations' must name 1 to {}",
            limits::CONNECT_DESTINATIONS
        ));
    }
    let from = shape.call_from;
    let is_name = |from: &String| {
        (1..=limits::CALL_FROM_BYTES).contains(&from.len()) && !from.chars().any(char::is_control)
    };
    if !from.as_ref().is_none_or(is_name) {
        return Err(format!(
            "'call_from' must be 1 to {} bytes without control characters",
            limits::CALL_FROM_BYTES
        ));
    }
    let destinations = shape
        .destinations
        .iter()
        .map(|text| Destination::parse(text));
    let ring = i64::from(shape.seconds_answer_timeout.unwrap_or(30)) * 1_000;
    Ok(Connect {
        destinations: destinations.collect::<Result<_, _>>()?,
        later: Vec::new(),
        from,
        hold: optional(shape.hold_media)?,
        ring: wait("seconds_answer_timeout", ring)?,
        passes_early: shape.pass_early_media,
        secondary: None,
        next: None,
    })
}

fn participant(shape: &ParticipantShape) -> Result<Participant, Fault> {
    let digit = |name, given: &Option<String>| {
        Keys::at_most_one(name, given.as_deref().unwrap_or_default())
    };
    let mute = digit("mute_digit", &shape.mute_digit)?;
    Ok(Participant {
        talker: shape.talker.unwrap_or(true),
        start_on_entry: shape.start_on_entry.unwrap_or(true),
        destroy_on_exit: shape.destroy_on_exit.unwrap_or(false),
        beep_on_entry: shape.beep_on_entry.unwrap_or(true),
        exit: digit("exit_digit", &shape.exit_digit)?,
        mute,
        unmute: digit("unmute_digit", &shape.unmute_digit)?.or(mute),
    })
}

fn answer(shape: AnswerShape) -> Result<Action, Fault> {
    if shape.extra_sip_headers.len() > limits::ANSWER_HEADERS {
        return Err(format!(
            "an answer takes {} headers at most",
            limits::ANSWER_HEADERS
        ));
    }
    let mut headers = Vec::new();
    for header in shape.extra_sip_headers {
        let is_own = header.name.len() > 2
            && header
                .name
                .get(..2)
                .is_some_and(|start| start.eq_ignore_ascii_case("x-"))
            && header
                .name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
        if !is_own {
            return Err("headers of one's own begin with 'X-'".to_owned());
        }
        if header.value.chars().any(char::is_control)
            || header.value.len() > limits::ANSWER_HEADER_BYTES
        {
            return Err(format!(
                "the value of {} has a control character or is too long",
                header.name
            ));
        }
        headers.push((header.name, header.value));
    }
    Ok(Action::Answer { headers })
}

/// Which status the caller hears; existing clients tell their apps the same cause again.
fn reject(shape: &RejectShape) -> Result<Action, Fault> {
    let by_cause = match shape.cause.as_deref().unwrap_or("rejected") {
        "rejected" => 603,
        "busy" => 486,
        "noanswer" => 487,
        "unobtainable" => 404,
        "changed" => 410,
        "outoforder" => 502,
        "barred" => 403,
        "nochannels" | "congestion" => 500,
        _ => {
            return Err("'cause' must be rejected, busy, noanswer, unobtainable, changed, outoforder, barred, nochannels or congestion".to_owned());
        }
    };
    let status = match &shape.raw_cause {
        None => by_cause,
        Some(raw) => raw
            .parse()
            .ok()
            .filter(|status| (400..=699).contains(status) && !matches!(status, 401 | 407))
            .ok_or(
                "'raw_cause' must be a status of SIP from 400 to 699 that asks for no password",
            )?,
    };
    Ok(Action::Reject { status })
}

fn wait(name: &str, millis: i64) -> Result<Duration, Fault> {
    let most = limits::APPLICATION_WAIT;
    u64::try_from(millis)
        .ok()
        .map(Duration::from_millis)
        .filter(|wait| *wait <= most)
        .ok_or_else(|| {
            format!(
                "'{name}' is longer than the {} s that are waited for",
                most.as_secs()
            )
        })
}

fn count(count: u8) -> Result<u8, Fault> {
    if count > limits::DIGITS_ENTERED {
        return Err(format!(
            "'digit_count' may be {} at most",
            limits::DIGITS_ENTERED
        ));
    }
    Ok(if count == 0 {
        limits::DIGITS_ENTERED
    } else {
        count
    })
}

fn end_digit(count: u8, given: Option<&str>) -> Result<Option<Digit>, Fault> {
    let end = Keys::at_most_one("end_digit", given.unwrap_or("#"))?;
    if end.is_none() && count == 0 {
        return Err("without 'end_digit' a 'digit_count' is needed".to_owned());
    }
    Ok(end)
}

fn valid(given: Option<&str>) -> Result<Keys, Fault> {
    Keys::parse("valid_digits", given.unwrap_or("0123456789"))
}

#[cfg(test)]
mod tests;
