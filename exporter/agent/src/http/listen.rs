//! Where the server listens: addresses become bound sockets, or an error that says what to mend.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;

use socket2::{Domain, Protocol, Socket, Type};

use super::accept::Door;
use super::unix::{self, SocketFile};
use crate::settings::ListenAddress;

/// How many connections may wait for being accepted: a flood that overflows it delays others by a second. The kernel cuts it
/// to `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// A socket that is bound.
#[derive(Debug)]
pub enum Listener {
    /// For TCP.
    Tcp(TcpListener),
    /// A Unix socket, with its file where we made it.
    Unix(UnixListener, Option<SocketFile>),
}

impl Listener {
    /// For the runtime; the file goes when it is dropped.
    pub(super) fn open(self) -> io::Result<(Door, Option<SocketFile>)> {
        match self {
            Self::Tcp(listener) => {
                listener.set_nonblocking(true)?;
                Ok((Door::Tcp(tokio::net::TcpListener::from_std(listener)?), None))
            }
            Self::Unix(listener, file) => {
                listener.set_nonblocking(true)?;
                Ok((Door::Unix(tokio::net::UnixListener::from_std(listener)?), file))
            }
        }
    }

    /// Which address it has, a TCP one.
    pub fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(listener) => listener.local_addr().ok(),
            Self::Unix(..) => None,
        }
    }

    /// Where it listens, as a URL with this scheme.
    pub fn url(&self, scheme: &str) -> String {
        match self {
            Self::Tcp(listener) => listener
                .local_addr()
                .map_or_else(|_| scheme.into(), |address| format!("{scheme}://{address}")),
            Self::Unix(listener, _) => {
                let address = listener.local_addr().ok();
                let path = address.as_ref().and_then(|address| address.as_pathname());
                format!("unix:{}", path.map(|path| path.display().to_string()).unwrap_or_default())
            }
        }
    }
}

/// Why there is no listening.
#[derive(Debug)]
pub enum Error {
    /// The host's name has no address.
    Resolve {
        /// The name.
        host: String,
        /// What the system said.
        error: io::Error,
    },
    /// The address is not to be had.
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        error: io::Error,
    },
    /// The Unix socket is not to be had.
    Unix {
        /// Its file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// A socket of systemd is not to be had, or none was passed.
    Passed {
        /// Which, from 0; `None` where there are none.
        index: Option<usize>,
        /// What the system said.
        error: io::Error,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Resolve { host, error } => {
                write!(f, "cannot listen on {host:?}: the name has no address ({error}); write an IP address")
            }
            Self::Bind { address, error } => {
                write!(f, "cannot listen on {address}: {error}{}", mend(address, error))
            }
            Self::Unix { path, error } => {
                let path = path.display();
                write!(
                    f,
                    "cannot listen on unix:{path}: {error}; choose another path with --web.listen-address"
                )
            }
            Self::Passed { index: None, .. } => f.write_str(
                "systemd passed no socket: start it from a .socket unit, or leave out --web.systemd-socket",
            ),
            Self::Passed { index: Some(index), error } => {
                write!(
                    f,
                    "socket {index} of systemd is neither TCP nor a stream of Unix that listens: {error}"
                )
            }
        }
    }
}

fn mend(address: &SocketAddr, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => format!(
            "; find who listens there with `ss -ltnp 'sport = :{}'`, or choose another port with --web.listen-address",
            address.port()
        ),
        io::ErrorKind::PermissionDenied => {
            "; ports below 1024 need CAP_NET_BIND_SERVICE: choose a higher one with --web.listen-address"
                .to_owned()
        }
        io::ErrorKind::AddrNotAvailable => {
            "; no interface of this machine has that address: see `ip address`, or leave the host out"
                .to_owned()
        }
        _ => String::new(),
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Resolve { error, .. }
            | Self::Bind { error, .. }
            | Self::Unix { error, .. }
            | Self::Passed { error, .. } => Some(error),
        }
    }
}

/// Binds every address; each listener says which port a 0 became.
///
/// Without a host it is every address of the machine, IPv6 and IPv4 on one socket, or IPv4 where there is no IPv6.
/// A host name is bound with all its addresses that exist here.
pub fn bind(addresses: &[ListenAddress]) -> Result<Vec<Listener>, Error> {
    let mut listeners = Vec::new();
    for address in addresses {
        match address {
            ListenAddress::Tcp { host: None, port } => listeners.push(Listener::Tcp(bind_everywhere(*port)?)),
            ListenAddress::Tcp { host: Some(host), port } => bind_host(host, *port, &mut listeners)?,
            ListenAddress::Unix { path, mode } => {
                let bound =
                    unix::bind(path, *mode).map_err(|error| Error::Unix { path: path.clone(), error })?;
                listeners.push(Listener::Unix(bound.0, Some(bound.1)));
            }
        }
    }
    Ok(listeners)
}

fn bind_everywhere(port: u16) -> Result<TcpListener, Error> {
    let v6 = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
    match bind_one(v6) {
        Err(error) if is_absent(&error) => bind_at(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))),
        outcome => outcome.map_err(|error| Error::Bind { address: v6, error }),
    }
}

/// `localhost` is often `::1` too on machines that have no IPv6: what is absent may be, unless all are.
fn bind_host(host: &str, port: u16, listeners: &mut Vec<Listener>) -> Result<(), Error> {
    let unresolved = |error| Error::Resolve { host: host.to_owned(), error };
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let found = (bare, port).to_socket_addrs().map_err(unresolved)?;
    let mut absent = Err(unresolved(io::ErrorKind::NotFound.into()));
    let mut port = port;
    for mut address in found.collect::<std::collections::BTreeSet<_>>() {
        // The port that was free for the first address, for the others too: one name, one port.
        address.set_port(port);
        match bind_one(address) {
            Ok(listener) => {
                port = listener.local_addr().map_or(port, |bound| bound.port());
                listeners.push(Listener::Tcp(listener));
                absent = Ok(());
            }
            Err(error) if is_absent(&error) => absent = absent.or(Err(Error::Bind { address, error })),
            Err(error) => return Err(Error::Bind { address, error }),
        }
    }
    absent
}

fn bind_at(address: SocketAddr) -> Result<TcpListener, Error> {
    bind_one(address).map_err(|error| Error::Bind { address, error })
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::AddrNotAvailable | io::ErrorKind::Unsupported)
        || error.raw_os_error() == Some(ADDRESS_FAMILY_NOT_SUPPORTED)
}

/// `EAFNOSUPPORT` on Linux, for which the standard library has no kind.
const ADDRESS_FAMILY_NOT_SUPPORTED: i32 = 97;

fn bind_one(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        // Said, because net.ipv6.bindv6only decides else; only the unspecified address can be both.
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    // A restart must not wait for the connections of its predecessor to time out.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound(addresses: &[(Option<&str>, u16)]) -> Result<Vec<SocketAddr>, Error> {
        let tcp = |(host, port): &(Option<&str>, u16)| ListenAddress::Tcp {
            host: host.map(str::to_owned),
            port: *port,
        };
        let addresses: Vec<_> = addresses.iter().map(tcp).collect();
        Ok(bind(&addresses)?.iter().map(|listener| listener.address().unwrap()).collect())
    }

    #[test]
    fn port_0_is_a_free_one() {
        let addresses = bound(&[(Some("127.0.0.1"), 0), (Some("127.0.0.1"), 0)]).unwrap();
        assert_eq!(addresses.len(), 2);
        assert!(addresses.iter().all(|address| address.ip().is_loopback() && address.port() != 0));
    }

    #[test]
    fn without_a_host_it_is_every_address() {
        let listeners = bind(&[ListenAddress::Tcp { host: None, port: 0 }]).unwrap();
        let address = listeners[0].address().unwrap();
        assert!(address.ip().is_unspecified());
        std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, address.port())).unwrap();
    }

    #[test]
    fn a_name_is_resolved_and_has_one_port() {
        let addresses = bound(&[(Some("localhost"), 0)]).unwrap();
        assert!(!addresses.is_empty());
        assert!(addresses.iter().all(|address| address.port() == addresses[0].port()));
    }

    #[test]
    fn a_port_in_use_is_named_with_the_mend() {
        let holder = bind(&[ListenAddress::Tcp { host: Some("127.0.0.1".into()), port: 0 }]).unwrap();
        let port = holder[0].address().unwrap().port();
        let error = bound(&[(Some("127.0.0.1"), port)]).unwrap_err().to_string();
        assert!(error.starts_with(&format!("cannot listen on 127.0.0.1:{port}: ")), "{error}");
        assert!(error.contains("--web.listen-address"), "{error}");
    }

    #[test]
    fn an_address_of_another_machine_is_an_error() {
        let error = bound(&[(Some("192.0.2.1"), 0)]).unwrap_err().to_string();
        assert!(error.contains("192.0.2.1:0") && error.contains("no interface"), "{error}");
    }

    #[test]
    fn a_name_without_an_address_is_an_error() {
        let error = bound(&[(Some("no such host"), 0)]).unwrap_err().to_string();
        assert!(error.contains("\"no such host\""), "{error}");
    }

    #[test]
    fn a_unix_socket_is_named_as_such() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let address = ListenAddress::Unix { path: path.clone(), mode: 0o660 };
        let listeners = bind(std::slice::from_ref(&address)).unwrap();
        assert_eq!(listeners[0].url("http"), format!("unix:{}", path.display()));
        let error = bind(&[address]).unwrap_err().to_string();
        assert!(
            error.contains("somebody listens there") && error.contains("--web.listen-address"),
            "{error}"
        );
    }
}
