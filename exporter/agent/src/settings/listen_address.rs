//! Where to listen: a port, on a host or on all interfaces, or a Unix socket.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

/// Who may connect to a Unix socket of which nothing is said: its owner and group.
const MODE: u32 = 0o660;
/// A Unix socket's path has room for 107 bytes and a zero (unix(7)).
const LONGEST_PATH: usize = 107;

/// A listen address as it was meant; the names and families of addresses are resolved when it is bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenAddress {
    /// A port.
    Tcp {
        /// A host name or an address without brackets; `None` is all interfaces: `[::]` for IPv6 and IPv4 alike, or
        /// `0.0.0.0` where the kernel has no IPv6.
        host: Option<String>,
        /// The port; 0 picks a free one.
        port: u16,
    },
    /// A Unix socket.
    Unix {
        /// Its file.
        path: PathBuf,
        /// Who may connect, as the file's mode.
        mode: u32,
    },
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host: None, port } => write!(f, ":{port}"),
            Self::Tcp { host: Some(host), port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host: Some(host), port } => write!(f, "{host}:{port}"),
            Self::Unix { path, mode: MODE } => write!(f, "unix:{}", path.display()),
            Self::Unix { path, mode } => write!(f, "unix:{}?mode={mode:04o}", path.display()),
        }
    }
}

/// Reads `:18823`, `127.0.0.1:0`, `[::1]:9100`, `localhost:9100` or `unix:/run/noether.sock?mode=0666`.
pub(super) fn listen_address(text: &str) -> Result<ListenAddress, String> {
    if let Some(socket) = text.strip_prefix("unix:") {
        return unix(socket).ok_or_else(|| {
            format!(
                "is not a socket such as unix:/run/noether.sock or unix:/run/noether.sock?mode=0666, \
                 with an absolute path of at most {LONGEST_PATH} bytes"
            )
        });
    }
    read(text).ok_or_else(|| {
        "is not an address such as :18823, 127.0.0.1:9100, [::1]:9100, localhost:9100 or unix:/run/noether.sock".into()
    })
}

fn unix(socket: &str) -> Option<ListenAddress> {
    let (path, mode) = match socket.split_once("?mode=") {
        None => (socket, MODE),
        Some((path, digits)) => {
            let octal =
                (3..=4).contains(&digits.len()) && digits.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
            (path, u32::from_str_radix(digits, 8).ok().filter(|mode| octal && *mode <= 0o777)?)
        }
    };
    let fit =
        path.starts_with('/') && !path.ends_with('/') && !path.contains('\0') && path.len() <= LONGEST_PATH;
    fit.then(|| ListenAddress::Unix { path: path.into(), mode })
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
    Some(ListenAddress::Tcp { host: host.map(Into::into), port })
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
            assert_eq!(address, ListenAddress::Tcp { host: host.map(str::to_owned), port }, "{text}");
            assert_eq!(address.to_string(), text);
        }
    }

    #[test]
    fn sockets() {
        for (text, mode) in [("unix:/run/n.sock", 0o660), ("unix:/run/n.sock?mode=0666", 0o666)] {
            let address = listen_address(text).unwrap();
            assert_eq!(address, ListenAddress::Unix { path: "/run/n.sock".into(), mode });
            assert_eq!(address.to_string(), text);
        }
        for text in [
            "unix:",
            "unix:/",
            "unix:n.sock",
            "unix:/run/",
            "unix:/n?mode=",
            "unix:/n?mode=8",
            "unix:/n?mode=0999",
            "unix:/n?mode=7777",
            "unix:/n\0",
        ] {
            assert!(listen_address(text).unwrap_err().contains("mode=0666"), "{text:?}");
        }
        assert!(listen_address(&format!("unix:/{}", "x".repeat(107))).is_err());
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
        fn nothing_panics(text in r"(unix:/)?[\[\]:.0-9a-f?=mod]{0,20}|.{0,20}") {
            let _ = listen_address(&text);
        }
    }
}
