//! Where the server listens: addresses become bound sockets, or an error that says what to mend.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs};

use socket2::{Domain, Protocol, Socket, Type};

/// How many connections may wait for being accepted.
const BACKLOG: i32 = 1024;

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
            Self::Resolve { error, .. } | Self::Bind { error, .. } => Some(error),
        }
    }
}

/// Binds every address; each listener's `local_addr` says which port a 0 became.
///
/// Without a host it is every address of the machine, IPv6 and IPv4 on one socket, or IPv4 where there is no IPv6.
/// A host name is bound with all its addresses that exist here.
pub fn bind(addresses: &[(Option<String>, u16)]) -> Result<Vec<TcpListener>, Error> {
    let mut listeners = Vec::new();
    for (host, port) in addresses {
        match host {
            None => listeners.push(bind_everywhere(*port)?),
            Some(host) => bind_host(host, *port, &mut listeners)?,
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
fn bind_host(host: &str, port: u16, listeners: &mut Vec<TcpListener>) -> Result<(), Error> {
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
                listeners.push(listener);
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
        let addresses: Vec<_> =
            addresses.iter().map(|(host, port)| (host.map(str::to_owned), *port)).collect();
        Ok(bind(&addresses)?.iter().map(|listener| listener.local_addr().unwrap()).collect())
    }

    #[test]
    fn port_0_is_a_free_one() {
        let addresses = bound(&[(Some("127.0.0.1"), 0), (Some("127.0.0.1"), 0)]).unwrap();
        assert_eq!(addresses.len(), 2);
        assert!(addresses.iter().all(|address| address.ip().is_loopback() && address.port() != 0));
    }

    #[test]
    fn without_a_host_it_is_every_address() {
        let listeners = bind(&[(None, 0)]).unwrap();
        let address = listeners[0].local_addr().unwrap();
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
        let holder = bind(&[(Some("127.0.0.1".to_owned()), 0)]).unwrap();
        let port = holder[0].local_addr().unwrap().port();
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
}
