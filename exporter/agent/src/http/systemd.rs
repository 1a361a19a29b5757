//! Sockets that systemd opened before it started us (`sd_listen_fds(3)`).

use std::io;

use listenfd::ListenFd;

use super::listen::{Error, Listener};

/// Every socket that was passed; none at all is an error.
pub fn passed() -> Result<Vec<Listener>, Error> {
    let mut descriptors = ListenFd::from_env();
    let listeners: Vec<_> = (0..descriptors.len())
        .map(|index| {
            one(&mut descriptors, index).map_err(|error| Error::Passed { index: Some(index), error })
        })
        .collect::<Result<_, _>>()?;
    if listeners.is_empty() {
        return Err(Error::Passed { index: None, error: io::ErrorKind::NotFound.into() });
    }
    Ok(listeners)
}

/// TCP or Unix, whichever it is.
fn one(descriptors: &mut ListenFd, index: usize) -> io::Result<Listener> {
    match descriptors.take_tcp_listener(index) {
        Ok(Some(listener)) => Ok(Listener::Tcp(listener)),
        Ok(None) => Err(io::ErrorKind::NotFound.into()),
        Err(_) => {
            let listener = descriptors.take_unix_listener(index)?;
            // The file is systemd's.
            listener
                .map(|listener| Listener::Unix(listener, None))
                .ok_or_else(|| io::ErrorKind::NotFound.into())
        }
    }
}
