//! Calls that an application begins, where several lines lead to whom it calls.

use model::Callee;
use model::media::MediaCommand;
use serde_json::json;

use crate::stage::{LINE, SECOND, Stage};

const NUMBER: &str = "tel:+447700900123";
const ANSWER: &str = "v=0\r\nm=audio 4002 RTP/AVP 8\r\n";

fn cause(stage: &Stage) -> String {
    let told = stage.asked();
    assert_eq!(told["this_call"]["call_state"], "idle");
    told["this_call"]["call_raw_cause"].as_str().unwrap().into()
}

#[test]
fn a_call_that_begins_goes_by_the_next_line_where_the_first_has_no_answer() {
    for status in [503, 408] {
        let mut stage = Stage::with_second();
        stage.starts(NUMBER);
        stage.gateway_offers();
        assert_eq!(stage.invited_on, LINE);
        stage.responds(status, "");
        let closes = |command: &MediaCommand| matches!(command, MediaCommand::CloseLeg { .. });
        assert!(stage.commands.iter().any(closes), "its leg is another");
        stage.gateway_offers();
        assert_eq!(stage.invited_on, SECOND, "{status}");
        let invite = "INVITE sip:+447700900123@other.example.com SIP/2.0";
        assert!(stage.heard.starts_with(invite), "{}", stage.heard);
        stage.responds(180, "");
        stage.responds(200, ANSWER);
        let told = stage.asked();
        assert_eq!(told["this_call"]["call_to"], "+447700900123");
        assert_eq!(told["this_call"]["call_state"], "answered");
        let id = told["this_call"]["call_id"].clone();
        stage.page(&json!([{ "hang_up": {} }]));
        assert!(stage.heard.starts_with("BYE "), "{}", stage.heard);
        let records = stage.records.iter();
        let mut ids = records.map(|record| record.id.to_string());
        assert!(ids.all(|known| known == id), "it is one call");
        let record = stage.records.last().unwrap();
        let is_other =
            matches!(&record.callee, Callee::Number { trunk, .. } if trunk.as_str() == "other");
        assert!(is_other, "{record:?}");
        assert_eq!(record.outcome.as_ref().unwrap().status, 200);
    }
}

#[test]
fn a_call_that_begins_ends_when_no_line_has_an_answer_or_whoever_is_called_refuses() {
    for (statuses, cause_told) in [
        (vec![503, 503], "503"),
        (vec![503, 408], "408"),
        (vec![408, 486], "486"),
        (vec![486], "486"),
        (vec![480], "480"),
        (vec![404], "404"),
    ] {
        let mut stage = Stage::with_second();
        stage.starts(NUMBER);
        for status in &statuses {
            stage.gateway_offers();
            stage.responds(*status, "");
        }
        assert_eq!(cause(&stage), cause_told, "{statuses:?}");
        assert!(stage.heard.starts_with("ACK "), "nobody else is called");
    }
}

#[test]
fn an_address_that_one_line_leads_to_is_called_by_no_other() {
    let mut stage = Stage::with_second();
    stage.starts("sip:desk@sip.example.com");
    stage.gateway_offers();
    stage.responds(503, "");
    assert_eq!(cause(&stage), "503");
}
