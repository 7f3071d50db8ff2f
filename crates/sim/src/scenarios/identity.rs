//! Who is who (RFC 3261 §12.2.2, RFC 8898): a client speaks for itself alone, whatever it writes, and a call is its two
//! connections' alone, whoever knows its tags.

use switch::Counter;

use super::{Stage, scenarios};
use crate::authority::{Wish, domain};
use crate::raw::{Draft, branch, row};

scenarios! {
    from_of_another: "Methods in another client's name, with one's own token, outside a call: refused, and nobody hears of them.",
    from_changed_inside_a_call: "A From changed inside a call: the other side sees who called it, and no claimed identity.",
    strange_requests_in_a_call: "Requests with the right tags from a client of the account, of another one, and a stranger: 481 or 403, counted, and the call goes on.",
    strange_answers_in_a_call: "Answers with the right branch and tags from elsewhere are dropped and counted, and the callee still rings.",
}

/// The methods that are passed on inside a call, and those that end it.
const INSIDE: [&str; 7] = [
    "BYE", "INVITE", "UPDATE", "INFO", "MESSAGE", "OPTIONS", "CANCEL",
];

/// A call of carol to dave, both scripted; what they know of it.
struct Talk {
    carol: usize,
    dave: usize,
    /// carol's INVITE, and the answer to it.
    invite: String,
    answer: String,
}

impl Talk {
    fn ringing(stage: &mut Stage) -> Self {
        let dave = stage.registered_raw("dave");
        let carol = stage.registered_raw("carol");
        let token = stage.token(&Wish::all("carol"));
        let invite = stage.invite("carol", "dave", &token).finish();
        stage.sends(carol, invite.clone());
        Self {
            carol,
            dave,
            invite: String::from_utf8_lossy(&invite).into_owned(),
            answer: String::new(),
        }
    }

    fn answered(stage: &mut Stage) -> Self {
        let mut talk = Self::ringing(stage);
        let answer = answer(&talk.heard_by_dave(stage, "INVITE"), "200 OK");
        stage.sends(talk.dave, answer);
        talk.answer = stage
            .inbox(talk.carol)
            .last("SIP/2.0 200")
            .unwrap_or_default();
        let ack = talk.inside("ACK", 1).finish();
        stage.sends(talk.carol, ack);
        stage.claim(!talk.heard_by_dave(stage, "ACK").is_empty(), "they talk");
        talk
    }

    fn heard_by_dave(&self, stage: &Stage, method: &str) -> String {
        stage.inbox(self.dave).last(method).unwrap_or_default()
    }

    /// A request of carol's inside the call.
    fn inside(&self, method: &str, cseq: u32) -> Draft {
        Draft::new(
            method,
            &format!("sip:dave@{}", domain(0)),
            row(&self.invite, "From").unwrap_or_default(),
            row(&self.answer, "To").unwrap_or_default(),
            900 + u64::from(cseq),
        )
        .call_id(row(&self.invite, "Call-ID").unwrap_or_default())
        .cseq(cseq)
    }
}

/// What whoever sees this request, and knows all that is in it, can answer.
fn answer(request: &str, status: &str) -> String {
    let rows = ["Via", "From", "Call-ID", "CSeq"].map(|name| {
        let value = row(request, name).unwrap_or_default();
        format!("{name}: {value}\r\n")
    });
    let to = row(request, "To").unwrap_or_default();
    format!(
        "SIP/2.0 {status}\r\n{}To: {to};tag=dave\r\nContact: <sip:dave@raw.invalid;transport=ws>\r\n\
         Content-Type: application/sdp\r\nContent-Length: 5\r\n\r\nv=0\r\n",
        rows.concat()
    )
}

/// A client of the account, one of another account, and somebody without a token.
fn strangers(stage: &mut Stage) -> [usize; 3] {
    let neighbour = stage.registered_raw("mallory");
    let foreigner = stage.raw("foreigner");
    let home = domain(1);
    let token = stage.world.token(1, &Wish::all("mallory"));
    let register = Draft::new(
        "REGISTER",
        &format!("sip:{home}"),
        &format!("<sip:mallory@{home}>;tag=f"),
        &format!("<sip:mallory@{home}>"),
        800,
    )
    .via_host("foreign.invalid")
    .token(&token)
    .row(
        "Contact",
        "<sip:mallory@raw.invalid;transport=ws>;expires=600",
    );
    stage.sends(foreigner, register.finish());
    stage.claim(
        stage.inbox(foreigner).count("SIP/2.0 200") == 1,
        "the foreigner is registered at home",
    );
    [neighbour, foreigner, stage.raw("stranger")]
}

fn from_of_another(stage: &mut Stage) {
    let bob = stage.registered_raw("bob");
    let dave = stage.registered_raw("dave");
    let mallory = stage.registered_raw("mallory");
    let token = stage.token(&Wish::all("mallory"));
    let (of_bob, of_dave) = (
        stage.inbox(bob).texts().len(),
        stage.inbox(dave).texts().len(),
    );
    let home = domain(0);
    let uri = format!("sip:dave@{home}");
    let to = format!("<{uri}>");
    for (method, status) in [
        ("INVITE", "401"),
        ("INFO", "405"),
        ("MESSAGE", "405"),
        ("UPDATE", "405"),
        ("REFER", "405"),
        ("SUBSCRIBE", "405"),
        ("NOTIFY", "405"),
        ("PUBLISH", "405"),
        ("PRACK", "405"),
        ("BYE", "481"),
        ("CANCEL", "481"),
    ] {
        let draft = stage
            .draft(method, "bob", &uri, &to)
            .token(&token)
            .row("Contact", "<sip:bob@raw.invalid;transport=ws>")
            .body("application/sdp", "v=0\r\n");
        stage.sends(mallory, draft.finish());
        let last = stage.inbox(mallory).texts().pop().unwrap_or_default();
        let wanted = format!("SIP/2.0 {status}");
        stage.claim(last.starts_with(&wanted), &format!("{method}: {status}"));
    }
    let register = stage
        .register(
            "bob",
            Some(&token),
            "<sip:evil@raw.invalid;transport=ws>;expires=600",
        )
        .finish();
    stage.sends(mallory, register);
    let last = stage.inbox(mallory).texts().pop().unwrap_or_default();
    stage.claim(last.starts_with("SIP/2.0 401"), "REGISTER: 401");
    stage.claim(
        stage.inbox(bob).texts().len() == of_bob && stage.inbox(dave).texts().len() == of_dave,
        "neither hears of it",
    );
    stage.claim(stage.records().is_empty(), "and no call is recorded");
}

fn from_changed_inside_a_call(stage: &mut Stage) {
    let talk = Talk::answered(stage);
    let home = domain(0);
    let own = row(&talk.invite, "From").unwrap_or_default();
    let changed = own.replace("sip:carol@", "sip:boss@");
    let text = String::from_utf8_lossy(
        &talk
            .inside("INFO", 2)
            .row("P-Asserted-Identity", &format!("<sip:boss@{home}>"))
            .row("Remote-Party-ID", &format!("<sip:boss@{home}>"))
            .row("Identity", "boss")
            .row("Contact", &format!("<sip:boss@{home}>"))
            .finish(),
    )
    .replace(own, &changed);
    stage.sends(talk.carol, text);
    let heard = talk.heard_by_dave(stage, "INFO");
    stage.claim(
        row(&heard, "From") == row(&talk.heard_by_dave(stage, "INVITE"), "From"),
        "dave sees who called him",
    );
    stage.claim(!heard.contains("boss"), "and nobody else");
}

fn strange_requests_in_a_call(stage: &mut Stage) {
    let talk = Talk::answered(stage);
    let strangers = strangers(stage);
    let of_dave = stage.inbox(talk.dave).texts().len();
    let mut sent = 0;
    for stranger in strangers {
        for (at, method) in INSIDE.iter().enumerate() {
            let cseq = 10 + u32::try_from(at).unwrap_or_default();
            stage.sends(stranger, talk.inside(method, cseq).finish());
            sent += 1;
        }
        // A CANCEL of the INVITE itself.
        let draft = talk.inside("CANCEL", 1);
        let cancel = draft.branch(branch(&talk.invite).unwrap_or_default());
        stage.sends(stranger, cancel.finish());
        sent += 1;
        let inbox = stage.inbox(stranger);
        // A connection of another account may not even name this one.
        let refused = inbox.count("SIP/2.0 481") + inbox.count("SIP/2.0 403");
        stage.claim(refused == INSIDE.len() + 1, "each is refused");
    }
    stage.claim(
        stage.inbox(talk.dave).texts().len() == of_dave,
        "dave hears nothing",
    );
    let server = stage.world.server(0);
    let counted = server.counted(Counter::RequestStray) + server.counted(Counter::IdentityRefused);
    stage.claim(counted == sent, "each is counted");
    let info = talk.inside("INFO", 30).finish();
    stage.sends(talk.carol, info);
    stage.claim(
        !talk.heard_by_dave(stage, "INFO").is_empty(),
        "the call goes on",
    );
}

fn strange_answers_in_a_call(stage: &mut Stage) {
    let talk = Talk::ringing(stage);
    let strangers = strangers(stage);
    let request = talk.heard_by_dave(stage, "INVITE");
    let of_carol = stage.inbox(talk.carol).texts().len();
    let mut sent = 0;
    // A 2xx of another client of the account is a stray answer of its own kind: it gets ACK and BYE, and carol nothing.
    for stranger in strangers {
        for status in [
            "180 Ringing",
            "486 Busy Here",
            "603 Decline",
            "487 Request Terminated",
        ] {
            stage.sends(stranger, answer(&request, status));
            sent += 1;
        }
    }
    stage.sends(strangers[1], answer(&request, "200 OK"));
    stage.sends(strangers[2], answer(&request, "200 OK"));
    stage.claim(
        stage.inbox(talk.carol).texts().len() == of_carol,
        "carol hears nothing",
    );
    let counted = stage.world.server(0).counted(Counter::ResponseStray);
    stage.claim(counted >= sent, "each is counted");
    stage.sends(talk.dave, answer(&request, "486 Busy Here"));
    stage.claim(
        stage.inbox(talk.carol).count("SIP/2.0 486") == 1,
        "dave decides",
    );
}
