//! What a trunk is to do, in a word or a number of the configuration file: how often, how long, to whom.

use std::time::Duration;

use node::model::{TrunkTransfer, limits};

/// To whom calls may be transferred.
pub(super) fn parse_transfer(text: &str) -> Result<TrunkTransfer, String> {
    let mut all = TrunkTransfer::ALL.into_iter();
    let known = all.find(|transfer| transfer.as_str() == text);
    known.ok_or_else(|| {
        "it must be none, inward (services and clients), own (the same trunk as well) or any (the account's other trunks too)"
            .to_owned()
    })
}

pub(super) fn parse_register(text: &str) -> Result<Option<Duration>, String> {
    match text {
        "true" => Ok(Some(limits::TRUNK_REGISTRATION)),
        "false" => Ok(None),
        _ => {
            let seconds = text.parse().map(Duration::from_secs).map(Some);
            seconds.map_err(|_| "it must be true, false, or a number of seconds".to_owned())
        }
    }
}

/// Of `check_s` and `session_s`.
pub(super) fn parse_pause(text: &str) -> Result<Option<Duration>, String> {
    match text.parse() {
        Ok(0) => Ok(None),
        Ok(seconds) => Ok(Some(Duration::from_secs(seconds))),
        Err(_) => Err("it must be a number of seconds, or 0 for never".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn to_whom_calls_may_be_transferred_is_one_of_four_words() {
        assert_eq!(parse_transfer("none"), Ok(TrunkTransfer::None));
        assert_eq!(parse_transfer("inward"), Ok(TrunkTransfer::Inward));
        assert_eq!(parse_transfer("own"), Ok(TrunkTransfer::Own));
        assert_eq!(parse_transfer("any"), Ok(TrunkTransfer::Any));
        assert!(parse_transfer("all").unwrap_err().contains("none, inward"));
    }
}
