//! One request: parsed, judged by its form, proven or not, and answered.
//!
//! Looks at one message and never at allocations. RFC 8489 §6, §9.2, §14.

use stun_types::attribute::{
    Attribute as _, AttributeStaticType, AttributeType, ErrorCode, Fingerprint, MessageIntegrity,
    MessageIntegritySha256, Nonce, PasswordAlgorithm, PasswordAlgorithmValue, PasswordAlgorithms,
    Realm, Software, UnknownAttributes, Userhash, Username, XorMappedAddress,
};
use stun_types::message::{
    IntegrityAlgorithm, IntegrityKey, LongTermCredentials, Message, MessageWrite, MessageWriteExt,
    MessageWriteVec,
};
use turn_types::attribute::{
    AdditionalAddressFamily, ChannelNumber, Data, DontFragment, EvenPort, Lifetime,
    RequestedAddressFamily, RequestedTransport, ReservationToken, XorPeerAddress,
};

use crate::authority::{Authority, Credential, Denied};
use crate::input::{Client, Now};
use crate::nonce::Nonces;

/// Attributes that must be understood and are.
const UNDERSTOOD: [AttributeType; 21] = [
    AdditionalAddressFamily::TYPE,
    ChannelNumber::TYPE,
    Data::TYPE,
    DontFragment::TYPE,
    EvenPort::TYPE,
    Fingerprint::TYPE,
    Lifetime::TYPE,
    MessageIntegrity::TYPE,
    MessageIntegritySha256::TYPE,
    Nonce::TYPE,
    PasswordAlgorithm::TYPE,
    PasswordAlgorithms::TYPE,
    Realm::TYPE,
    RequestedAddressFamily::TYPE,
    RequestedTransport::TYPE,
    ReservationToken::TYPE,
    Software::TYPE,
    Userhash::TYPE,
    Username::TYPE,
    XorMappedAddress::TYPE,
    XorPeerAddress::TYPE,
];

/// An error code with no more words than the format needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refused(pub(crate) u16);

impl Refused {
    pub(crate) const BAD_REQUEST: Self = Self(400);
    pub(crate) const UNAUTHENTICATED: Self = Self(401);
    pub(crate) const FORBIDDEN: Self = Self(403);
    pub(crate) const MISMATCH: Self = Self(437);
    pub(crate) const STALE_NONCE: Self = Self(438);
    pub(crate) const FAMILY_NOT_SUPPORTED: Self = Self(440);
    pub(crate) const WRONG_CREDENTIALS: Self = Self(441);
    pub(crate) const TRANSPORT_NOT_SUPPORTED: Self = Self(442);
    pub(crate) const FAMILY_MISMATCH: Self = Self(443);
    pub(crate) const QUOTA: Self = Self(486);
    pub(crate) const CAPACITY: Self = Self(508);
}

impl From<Denied> for Refused {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::Quota => Self::QUOTA,
            Denied::Capacity => Self::CAPACITY,
        }
    }
}

/// What a request has proven.
#[derive(Clone, Debug)]
pub(crate) struct Proven {
    pub(crate) credential: Credential,
    pub(crate) username: Box<str>,
    pub(crate) seal: Seal,
}

/// How answers to a request are closed. `Debug` does not show the key.
#[derive(Clone)]
pub(crate) struct Seal {
    key: Option<(IntegrityKey, IntegrityAlgorithm)>,
    has_fingerprint: bool,
}

impl std::fmt::Debug for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Seal")
            .field("is_open", &self.key.is_none())
            .finish_non_exhaustive()
    }
}

impl Seal {
    /// For whoever has proven nothing.
    pub(crate) fn open(request: &Message<'_>) -> Self {
        Self {
            key: None,
            has_fingerprint: request.has_attribute(Fingerprint::TYPE),
        }
    }
}

/// What everybody is told.
#[derive(Clone, Debug)]
pub(crate) struct House {
    pub(crate) realm: String,
    pub(crate) software: Option<String>,
    pub(crate) nonces: Nonces,
}

impl House {
    /// Who sent a request, by RFC 8489 §9.2.4.
    pub(crate) fn authenticate(
        &self,
        now: Now,
        client: Client,
        request: &Message<'_>,
        authority: &mut dyn Authority,
    ) -> Result<Proven, Refused> {
        let has = |kind| request.has_attribute(kind);
        if !has(MessageIntegrity::TYPE) && !has(MessageIntegritySha256::TYPE) {
            return Err(Refused::UNAUTHENTICATED);
        }
        let (Ok(username), Ok(realm), Ok(nonce)) = (
            request.attribute::<Username>(),
            request.attribute::<Realm>(),
            request.attribute::<Nonce>(),
        ) else {
            return Err(Refused::BAD_REQUEST);
        };
        let algorithm = asked_algorithm(request)?;
        if !self.nonces.is_good(now, client.address, nonce.nonce()) {
            return Err(Refused::STALE_NONCE);
        }
        if realm.realm() != self.realm {
            return Err(Refused::UNAUTHENTICATED);
        }
        let username = username.username();
        let credential = authority
            .credential(now, username)
            .ok_or(Refused::UNAUTHENTICATED)?;
        let key = LongTermCredentials::new(username.to_owned(), credential.password.clone())
            .to_key(self.realm.clone())
            .make_key(algorithm);
        let sealed = request
            .validate_integrity_with_key(&key)
            .map_err(|_| Refused::UNAUTHENTICATED)?;
        Ok(Proven {
            credential,
            username: username.into(),
            seal: Seal {
                key: Some((key, sealed)),
                has_fingerprint: has(Fingerprint::TYPE),
            },
        })
    }

    /// A refusal; for whoever has not proven a password with what is needed to do so.
    pub(crate) fn refuse(
        &self,
        now: Now,
        client: Client,
        request: &Message<'_>,
        seal: &Seal,
        refused: Refused,
    ) -> Vec<u8> {
        let mut answer = Message::builder_error(request, MessageWriteVec::with_capacity(160));
        // Codes are those above, the reason is empty: both fit.
        if let Ok(code) = ErrorCode::new(refused.0, "") {
            add(&mut answer, &code);
        }
        if matches!(refused, Refused::UNAUTHENTICATED | Refused::STALE_NONCE) {
            let nonce = self.nonces.mint(now, client.address);
            if let (Ok(realm), Ok(nonce)) = (Realm::new(&self.realm), Nonce::new(&nonce)) {
                add(&mut answer, &realm);
                add(&mut answer, &nonce);
            }
            let algorithms = [PasswordAlgorithmValue::SHA256, PasswordAlgorithmValue::MD5];
            add(&mut answer, &PasswordAlgorithms::new(&algorithms));
            // RFC 8489 §9.2.4: whoever has to prove a password anew is answered like everybody else.
            return close(answer, &Seal::open(request));
        }
        self.finish(answer, seal)
    }

    /// RFC 8489 §6.3.1: which attributes were not understood.
    pub(crate) fn refuse_unknown(
        &self,
        request: &Message<'_>,
        seal: &Seal,
        unknown: &[AttributeType],
    ) -> Vec<u8> {
        let mut answer = Message::builder_error(request, MessageWriteVec::with_capacity(96));
        if let Ok(code) = ErrorCode::new(420, "") {
            add(&mut answer, &code);
        }
        add(&mut answer, &UnknownAttributes::new(unknown));
        self.finish(answer, seal)
    }

    /// Closes an answer: SOFTWARE, integrity, fingerprint.
    pub(crate) fn finish(&self, mut answer: MessageWriteVec, seal: &Seal) -> Vec<u8> {
        if let Some(software) = &self.software
            && let Ok(software) = Software::new(software)
        {
            add(&mut answer, &software);
        }
        close(answer, seal)
    }
}

fn close(mut answer: MessageWriteVec, seal: &Seal) -> Vec<u8> {
    if let Some((key, algorithm)) = &seal.key {
        // Fails only where there is integrity or a fingerprint already.
        let _ = answer.add_message_integrity_with_key(key, *algorithm);
    }
    if seal.has_fingerprint {
        let _ = answer.add_fingerprint();
    }
    answer.finish()
}

/// Adds an attribute to an answer; they are few and small, and integrity comes after them.
pub(crate) fn add(
    answer: &mut MessageWriteVec,
    attribute: &dyn stun_types::attribute::AttributeWrite,
) {
    let added = answer.add_attribute(attribute);
    debug_assert!(added.is_ok(), "{added:?}");
}

/// Attributes that would have to be understood and are not.
pub(crate) fn unknown_attributes(request: &Message<'_>) -> Vec<AttributeType> {
    request
        .iter_attributes()
        .map(|(_, attribute)| attribute.get_type())
        .filter(|kind| !is_understood(*kind))
        .collect()
}

/// Whether an attribute of this kind may stand in what comes in.
pub(crate) fn is_understood(kind: AttributeType) -> bool {
    !kind.comprehension_required() || UNDERSTOOD.contains(&kind)
}

/// Which algorithm derives the key. Each challenge of ours offers both (RFC 8489 §9.2.4).
fn asked_algorithm(request: &Message<'_>) -> Result<IntegrityAlgorithm, Refused> {
    let offered = request.has_attribute(PasswordAlgorithms::TYPE);
    let chosen = request.has_attribute(PasswordAlgorithm::TYPE);
    if !offered && !chosen {
        return Ok(IntegrityAlgorithm::Sha1);
    }
    let (Ok(offered), Ok(chosen)) = (
        request.attribute::<PasswordAlgorithms>(),
        request.attribute::<PasswordAlgorithm>(),
    ) else {
        return Err(Refused::BAD_REQUEST);
    };
    // Somebody between has taken the better one out.
    if offered.algorithms() != [PasswordAlgorithmValue::SHA256, PasswordAlgorithmValue::MD5] {
        return Err(Refused::BAD_REQUEST);
    }
    Ok(chosen.algorithm().as_integrity())
}
