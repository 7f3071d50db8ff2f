//! The inspection of a request as a server does it (RFC 3261 §8.2.1 to §8.2.2, and the hop count of §16.3): method, scheme,
//! hops, required extensions, in this order. Bodies are not looked at: whoever reads them knows what it takes.
//! Never decides whether a request is allowed, only whether it is understood.

use crate::message::Request;
use crate::method::Method;
use crate::name::Name;
use crate::status;

/// What a server understands.
#[derive(Clone, Copy, Debug)]
pub struct Capabilities {
    /// Methods; these become the Allow row.
    pub methods: &'static [Method<'static>],
    /// Option tags of extensions that a request may require.
    pub extensions: &'static [&'static str],
    /// Schemes of Request-URIs.
    pub schemes: &'static [&'static str],
}

impl Capabilities {
    /// The value of an Allow row.
    pub fn allow(&self) -> String {
        let names: Vec<&str> = self.methods.iter().map(Method::as_str).collect();
        names.join(", ")
    }
}

/// Why a request is not understood, ready to be answered.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{status} {reason}")]
pub struct Screened {
    /// The status to answer with.
    pub status: u16,
    /// Its reason phrase.
    pub reason: &'static str,
    /// The row that the answer must carry, if any: name and value.
    pub header: Option<(&'static str, String)>,
}

impl Screened {
    fn new(status: u16, header: Option<(&'static str, String)>) -> Self {
        Self {
            status,
            reason: status::reason(status),
            header,
        }
    }
}

/// Inspects a request. An ACK must never be answered: drop it where this returns an error.
pub fn screen(request: &Request<'_>, capabilities: &Capabilities) -> Result<(), Screened> {
    let method = request.method;
    if !capabilities.methods.contains(&method) {
        // A method of the RFCs is understood but not taken (405); any other is not understood (501).
        let status = if matches!(method, Method::Other(_)) {
            501
        } else {
            405
        };
        return Err(Screened::new(status, Some(("Allow", capabilities.allow()))));
    }
    if !capabilities
        .schemes
        .iter()
        .any(|scheme| request.target().has_scheme(scheme))
    {
        return Err(Screened::new(416, None));
    }
    // OPTIONS and REGISTER end here, and CANCEL and ACK go hop by hop with their INVITE: no next hop is needed for them.
    let ends_here = matches!(
        method,
        Method::Options | Method::Register | Method::Cancel | Method::Ack
    );
    if !ends_here && request.headers.max_forwards() == Some(0) {
        return Err(Screened::new(483, None));
    }
    // RFC 3261 §8.2.2.3: CANCEL and ACK are not refused for what they require.
    if !matches!(method, Method::Cancel | Method::Ack) {
        let unsupported: Vec<&str> = request
            .headers
            .items(Name::Require)
            .filter(|tag| {
                !capabilities
                    .extensions
                    .iter()
                    .any(|known| known.eq_ignore_ascii_case(tag))
            })
            .collect();
        if !unsupported.is_empty() {
            return Err(Screened::new(
                420,
                Some(("Unsupported", unsupported.join(", "))),
            ));
        }
    }
    Ok(())
}
