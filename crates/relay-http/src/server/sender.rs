//! Who sends: on whose account the gate admits a request.

use super::line::Line;
use super::site::Site;
use crate::InvalidConfig;
use crate::cloudevents::Binding;
use http::HeaderName;
use http::request::Parts;
use std::net::IpAddr;

/// By what a server tells one source from another, so that none of them gets more than its share while not everything can
/// be admitted.
///
/// Where a request does not say, its address counts: of IPv6 the first half, because that is what one host is given. Behind
/// a proxy all senders have one address, so name a header that the proxy sets.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum FairBy {
    /// The `ce-source` header.
    #[default]
    Source,
    /// The address of the sender.
    Peer,
    /// The header of this name, such as `x-tenant`.
    Header(String),
    /// Nothing: whoever sends more gets more.
    Nothing,
}

/// The same, checked.
#[derive(Debug, Clone)]
pub(super) enum Key {
    Source,
    Peer,
    Header(HeaderName),
    Nothing,
}

impl FairBy {
    pub(super) fn checked(&self) -> Result<Key, InvalidConfig> {
        Ok(match self {
            Self::Source => Key::Source,
            Self::Peer => Key::Peer,
            Self::Nothing => Key::Nothing,
            Self::Header(name) => {
                let allowed = "the name of an HTTP header";
                let parsed = name.parse();
                Key::Header(parsed.map_err(|_| InvalidConfig::new("fair_by", name, allowed))?)
            }
        })
    }
}

/// The name of a sender, as bytes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Sender<'a> {
    Said(&'a [u8]),
    V4([u8; 4]),
    V6([u8; 8]),
}

impl Sender<'_> {
    pub(super) fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Said(name) => name,
            Self::V4(address) => address,
            Self::V6(prefix) => prefix,
        }
    }

    fn at(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address.octets()),
            IpAddr::V6(address) => {
                let prefix = address.octets().first_chunk().copied();
                Self::V6(prefix.unwrap_or_default())
            }
        }
    }
}

/// Who sends this request; `None` when that does not matter.
pub(super) fn of<'a>(
    site: &Site,
    line: &Line,
    head: &'a Parts,
    binding: &Binding<'a>,
) -> Option<Sender<'a>> {
    let said = match &site.fair_by {
        Key::Nothing => return None,
        Key::Peer => None,
        Key::Source => binding.source(),
        Key::Header(name) => head.headers.get(name),
    };
    said.map(|value| Sender::Said(value.as_bytes()))
        .or_else(|| line.peer().map(Sender::at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_host_is_one_sender() {
        let name = |address: &str| Sender::at(address.parse().unwrap()).as_bytes().to_vec();
        assert_eq!(name("2001:db8::1"), name("2001:db8::ffff:2"));
        assert_ne!(name("2001:db8::1"), name("2001:db8:0:1::1"));
        assert_eq!(name("::ffff:192.0.2.1"), name("192.0.2.1"));
        assert_ne!(name("192.0.2.1"), name("192.0.2.2"));
    }
}
