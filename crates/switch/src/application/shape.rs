//! The shapes of pages as JSON: what may stand where, and what each is called.
//!
//! What they mean, and what is allowed beyond their shape, is `page`'s. A member that is not named here is refused: it would be lost.

use model::limits;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::few::Few;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub(super) struct PageShape {
    pub(super) actions: Few<ActionShape, { limits::PAGE_ACTIONS }>,
    pub(super) token: Option<String>,
    pub(super) api_version: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ActionShape {
    Answer(AnswerShape),
    Reject(RejectShape),
    HangUp(Empty),
    Play(PlayShape),
    Record(RecordShape),
    GetNumber(GetNumberShape),
    GetInput(GetInputShape),
    RunMenu(RunMenuShape),
    Connect(ConnectShape),
    Sleep(SleepShape),
    Redirect(RedirectShape),
    ConnectToConference(ConferShape),
    Stream(StreamShape),
    RunSpeechMenu(IgnoredAny),
    SendFax(IgnoredAny),
    ReceiveFax(IgnoredAny),
    StartTranscription(IgnoredAny),
}

impl ActionShape {
    /// Its name in pages.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Answer(_) => "answer",
            Self::Reject(_) => "reject",
            Self::HangUp(_) => "hang_up",
            Self::Play(_) => "play",
            Self::Record(_) => "record",
            Self::GetNumber(_) => "get_number",
            Self::GetInput(_) => "get_input",
            Self::RunMenu(_) => "run_menu",
            Self::Connect(_) => "connect",
            Self::Sleep(_) => "sleep",
            Self::Redirect(_) => "redirect",
            Self::ConnectToConference(_) => "connect_to_conference",
            Self::Stream(_) => "stream",
            Self::RunSpeechMenu(_) => "run_speech_menu",
            Self::SendFax(_) => "send_fax",
            Self::ReceiveFax(_) => "receive_fax",
            Self::StartTranscription(_) => "start_transcription",
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub(super) struct Empty {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub(super) struct AnswerShape {
    #[serde(default)]
    pub(super) extra_sip_headers: Few<HeaderShape, { limits::ANSWER_HEADERS }>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub(super) struct HeaderShape {
    pub(super) name: String,
    pub(super) value: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub(super) struct RejectShape {
    pub(super) cause: Option<String>,
    pub(super) raw_cause: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub(super) struct PlayShape {
    pub(super) play_list: Few<MediaShape, { limits::PLAY_SOUNDS }>,
    pub(super) barge_in_on_digit: Option<bool>,
    #[serde(default)]
    pub(super) barge_in_on_speech: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub(super) struct MediaShape {
    pub(super) text_to_say: Option<String>,
    pub(super) tts_voice: Option<String>,
    #[serde(rename = "text_is_private")]
    _text_is_private: Option<bool>,
    pub(super) file_to_play: Option<String>,
    pub(super) tone: Option<ToneShape>,
    pub(super) digits: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub(super) struct ToneShape {
    pub(super) frequencies_hz: Few<u16, { limits::TONE_FREQUENCIES }>,
    pub(super) milliseconds: u32,
}

/// `{"play":{"play_list":…}}`, as it is documented, or the inner part alone.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub(super) struct PromptShape {
    pub(super) play: Option<PlayShape>,
    pub(super) play_list: Option<Few<MediaShape, { limits::PLAY_SOUNDS }>>,
    pub(super) barge_in_on_digit: Option<bool>,
    #[serde(default)]
    pub(super) barge_in_on_speech: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub(super) struct RecordShape {
    pub(super) next_page: WebPageShape,
    pub(super) barge_in_digits: Option<String>,
    pub(super) seconds_max_duration: Option<u32>,
    pub(super) milliseconds_max_silence: Option<u32>,
    pub(super) milliseconds_max_initial_silence: Option<u32>,
    pub(super) format: Option<String>,
    #[serde(default)]
    pub(super) beep_on_start: bool,
    pub(super) recording_available_page: Option<WebPageShape>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub(super) struct GetNumberShape {
    pub(super) next_page: WebPageShape,
    pub(super) prompt: Option<PromptShape>,
    #[serde(default)]
    pub(super) digit_count: u8,
    pub(super) end_digit: Option<String>,
    pub(super) valid_digits: Option<String>,
    pub(super) help_digit: Option<String>,
    pub(super) seconds_timeout: Option<u32>,
    pub(super) milliseconds_inter_digit_timeout: Option<i64>,
    pub(super) milliseconds_initial_timeout: Option<i64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub(super) struct GetInputShape {
    pub(super) next_page: WebPageShape,
    pub(super) prompt: Option<PromptShape>,
    pub(super) speech_input_mode: Option<String>,
    pub(super) digit_input_enabled: Option<bool>,
    pub(super) digit_input_options: Option<DigitsShape>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub(super) struct DigitsShape {
    #[serde(default)]
    pub(super) digit_count: u8,
    pub(super) end_digit: Option<String>,
    pub(super) valid_digits: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub(super) struct RunMenuShape {
    pub(super) menu_options: Few<MenuOptionShape, { limits::MENU_OPTIONS }>,
    pub(super) prompt: Option<PromptShape>,
    pub(super) help_digit: Option<String>,
    pub(super) seconds_digit_timeout: Option<u32>,
    pub(super) on_digit_timeout_messages: Option<Few<PromptShape, { limits::MENU_MESSAGES }>>,
    pub(super) on_invalid_digit_messages: Option<Few<PromptShape, { limits::MENU_MESSAGES }>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub(super) struct MenuOptionShape {
    pub(super) digit: String,
    pub(super) next_page: WebPageShape,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub(super) struct ConnectShape {
    pub(super) destinations: Few<String, { limits::CONNECT_DESTINATIONS }>,
    pub(super) call_from: Option<String>,
    pub(super) hold_media: Option<PromptShape>,
    pub(super) seconds_answer_timeout: Option<u32>,
    pub(super) secondary_call: Option<SecondaryShape>,
    #[serde(default)]
    pub(super) pass_early_media: bool,
    pub(super) next_page: Option<WebPageShape>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub(super) struct SecondaryShape {
    pub(super) first_page: Option<WebPageShape>,
    pub(super) final_page: Option<WebPageShape>,
    pub(super) error_page: Option<WebPageShape>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub(super) struct ConferShape {
    pub(super) name: String,
    pub(super) hold_media: Option<PromptShape>,
    #[serde(default)]
    pub(super) conference_participant: ParticipantShape,
    pub(super) next_page: Option<WebPageShape>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub(super) struct ParticipantShape {
    pub(super) talker: Option<bool>,
    pub(super) start_on_entry: Option<bool>,
    pub(super) destroy_on_exit: Option<bool>,
    pub(super) beep_on_entry: Option<bool>,
    pub(super) exit_digit: Option<String>,
    pub(super) mute_digit: Option<String>,
    pub(super) unmute_digit: Option<String>,
    pub(super) while_stopped_media: Option<PromptShape>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub(super) struct StreamShape {
    pub(super) url: String,
    pub(super) sample_rate: Option<u32>,
    pub(super) seconds_max_duration: Option<u32>,
    pub(super) next_page: WebPageShape,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub(super) struct SleepShape {
    pub(super) seconds: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub(super) struct RedirectShape {
    pub(super) next_page: WebPageShape,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub(super) struct WebPageShape {
    pub(super) url: String,
    pub(super) method: Option<String>,
}
