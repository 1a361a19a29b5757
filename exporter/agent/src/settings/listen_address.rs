//! Where to listen: a port, on a host or on all interfaces.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

/// A listen address as it was meant; the names and families of addresses are resolved when it is bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenAddress {
    /// A host name or an address without brackets; `None` is all interfaces: `[::]` for IPv6 and IPv4 alike, or
    /// `0.0.0.0` where the kernel has no IPv6.
    pub host: Option<String>,
    /// The port; 0 picks a free one.
    pub port: u16,
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.as_deref() {
            None => write!(f, ":{}", self.port),
            Some(host) if host.contains(':') => write!(f, "[{host}]:{}", self.port),
            Some(host) => write!(f, "{host}:{}", self.port),
        }
    }
}

/// Reads `:18823`, `127.0.0.1:0`, `[::1]:9100` or `localhost:9100`.
pub(super) fn listen_address(text: &str) -> Result<ListenAddress, String> {
    read(text).ok_or_else(|| {
        "is not an address such as :18823, 127.0.0.1:9100, [::1]:9100 or localhost:9100".into()
    })
}

fn read(text: &str) -> Option<ListenAddress> {
    let (host, port) = text.rsplit_once(':')?;
    // `u16::from_str` takes a plus sign.
    let port = port.bytes().all(|byte| byte.is_ascii_digit()).then(|| port.parse().ok())??;
    let host = match host.strip_prefix('[') {
        Some(rest) => Some(rest.strip_suffix(']').filter(|host| host.parse::<Ipv6Addr>().is_ok())?),
        None if host.is_empty() => None,
        None => Some(host).filter(|host| is_name_or_ipv4(host)).map(Some)?,
    };
    Some(ListenAddress { host: host.map(Into::into), port })
}

/// A name whose last label is a number is an IPv4 address, or a mistyped one.
fn is_name_or_ipv4(host: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let numeric = host.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
    let ends_well = host.starts_with(|c: char| c.is_ascii_alphanumeric()) && host.len() <= 253;
    if numeric { host.parse::<Ipv4Addr>().is_ok() } else { ends_well && host.bytes().all(is_part) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn addresses() {
        for (text, host, port) in [
            (":18823", None, 18823),
            ("127.0.0.1:0", Some("127.0.0.1"), 0),
            ("0.0.0.0:80", Some("0.0.0.0"), 80),
            ("[::1]:9100", Some("::1"), 9100),
            ("[::]:65535", Some("::"), 65535),
            ("localhost:9000", Some("localhost"), 9000),
            ("node-1.example.org:9000", Some("node-1.example.org"), 9000),
        ] {
            let address = listen_address(text).unwrap();
            assert_eq!((address.host.as_deref(), address.port), (host, port), "{text}");
            assert_eq!(address.to_string(), text);
        }
    }

    #[test]
    fn no_addresses() {
        for text in [
            "",
            ":",
            "9100",
            "localhost",
            "::1:9100",
            "[::1]",
            "[::1:9100",
            "[127.0.0.1]:1",
            "[]:1",
            ":65536",
            ":-1",
            ":+1",
            ": 1",
            "127.0.0:1",
            "256.1.1.1:1",
            "a b:1",
            "http://localhost:9100",
            "*:9100",
            "1:2:3",
            ":1,:2",
            "-x:1",
        ] {
            assert!(listen_address(text).is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn nothing_panics(text in r"[\[\]:.0-9a-f]{0,20}|.{0,20}") {
            let _ = listen_address(&text);
        }
    }
}
