//! What a script does when something that its application wants cannot be done: its error page is asked, or the call ends.
//!
//! The operator learns it once, by whoever finds it: what has not come is told where it was to be brought from, all else here. That
//! names no client, and holds no query of an address.

use model::{Page, limits};
use serde_json::json;

use super::script::{HangUp, Script, Step};
use crate::call::printable;

impl Script {
    /// Something that was wanted cannot be done.
    pub(crate) fn fail(&mut self, action: Option<&'static str>, why: &str) {
        if !self.is_ended {
            match action {
                Some(action) => self.complain(&format!("the application failed: {action}: {why}")),
                None => self.complain(&format!("the application failed: {why}")),
            }
        }
        self.fail_known(action, why);
    }

    /// This page has answered as none may.
    pub(super) fn fail_at(&mut self, page: &Page, why: &str) {
        if !self.is_ended {
            let url = page.url.as_str();
            let place = url.split('?').next().unwrap_or_default();
            let told = without_texts(&why.replacen(url, place, 1));
            self.complain(&format!("the application failed: {told}"));
        }
        self.fail_known(None, why);
    }

    /// The operator knows already.
    pub(super) fn fail_known(&mut self, action: Option<&'static str>, why: &str) {
        if self.is_ended {
            return;
        }
        let why = printable(why, limits::PAGE_FAULT_CHARS);
        self.waiting.clear();
        self.break_off();
        let page = self.plan.error_page().cloned();
        match page.filter(|_| !self.has_failed) {
            Some(page) => {
                self.has_failed = true;
                let error = json!({ "action": action, "result": why });
                self.ask(page, vec![("error_result", error)]);
            }
            None => self.give_up(format!("the application failed: {why}")),
        }
    }

    pub(super) fn give_up(&mut self, why: String) {
        self.steps.push(Step::HangUp(HangUp::Failed(why)));
    }

    pub(super) fn complain(&mut self, why: &str) {
        let why = printable(why, limits::PAGE_FAULT_CHARS);
        self.steps.push(Step::Complain(why));
    }
}

/// Without the texts of a page that its fault shows: they may name clients and numbers.
fn without_texts(why: &str) -> String {
    for (before, after) in [
        ("string \"", "\", expected"),
        (": \"", "\" is no destination"),
    ] {
        let shown = why.find(before).map(|at| at + before.len());
        if let Some(start) = shown
            && let Some(end) = why.rfind(after).filter(|end| *end >= start)
        {
            return format!("{}…{}", &why[..start], &why[end..]);
        }
    }
    why.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_a_page_are_not_told_and_the_rest_is() {
        for (why, told) in [
            (
                "https://a/: action 1, connect: \"webrtc-bob\" is no destination: 'webrtc:' is",
                "https://a/: action 1, connect: \"…\" is no destination: 'webrtc:' is",
            ),
            (
                "invalid type: string \"bob\", expected a list at line 1",
                "invalid type: string \"…\", expected a list at line 1",
            ),
            (
                "unknown variant `dance`, expected one of `play`",
                "unknown variant `dance`, expected one of `play`",
            ),
            (
                "'method' must be \"GET\" or \"POST\"",
                "'method' must be \"GET\" or \"POST\"",
            ),
        ] {
            assert_eq!(without_texts(why), told);
        }
    }
}
