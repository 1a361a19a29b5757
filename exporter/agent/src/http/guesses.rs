//! Wrong passwords by address: which addresses are limited, and for how long.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

/// Wrong passwords that an address may send before it is limited: a person who mistypes is not.
const FREE: u32 = 5;
/// The pause after the first wrong password beyond those; each further one doubles it.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// `FIRST_PAUSE` is doubled at most this many times.
const MOST_DOUBLINGS: u32 = 5;
/// An address is forgotten this long after its last wrong password.
const MEMORY: Duration = Duration::from_secs(600);
/// How many addresses are remembered; beyond, those with the oldest wrong password are forgotten.
const MOST_ADDRESSES: usize = 4096;

/// Wrong passwords by address.
#[derive(Debug, Default)]
pub(super) struct Guesses(HashMap<IpAddr, Wrong>);

/// The wrong passwords of one address.
#[derive(Clone, Copy, Debug)]
struct Wrong {
    count: u32,
    last: Instant,
}

impl Guesses {
    /// How many wrong passwords came from the address lately.
    pub(super) fn count(&self, address: IpAddr, now: Instant) -> u32 {
        self.recent(address, now).map_or(0, |wrong| wrong.count)
    }

    /// For how long no further password of the address is checked; `None` where one is checked now.
    pub(super) fn pause(&self, address: IpAddr, now: Instant) -> Option<Duration> {
        let wrong = self.recent(address, now)?;
        let beyond = wrong.count.checked_sub(FREE)?;
        let pause = FIRST_PAUSE * 2_u32.pow(beyond.min(MOST_DOUBLINGS));
        let left = (wrong.last + pause).saturating_duration_since(now);
        (!left.is_zero()).then_some(left)
    }

    /// Counts a wrong password. Returns whether the address is limited by it for the first time.
    pub(super) fn record(&mut self, address: IpAddr, now: Instant) -> bool {
        let count = self.count(address, now).saturating_add(1);
        if self.0.len() >= MOST_ADDRESSES {
            self.forget_some(now);
        }
        self.0.insert(network(address), Wrong { count, last: now });
        count == FREE
    }

    fn recent(&self, address: IpAddr, now: Instant) -> Option<Wrong> {
        let wrong = self.0.get(&network(address)).copied();
        wrong.filter(|wrong| now.saturating_duration_since(wrong.last) < MEMORY)
    }

    fn forget_some(&mut self, now: Instant) {
        self.0.retain(|_, wrong| now.saturating_duration_since(wrong.last) < MEMORY);
        let mut ages: Vec<Instant> = self.0.values().map(|wrong| wrong.last).collect();
        ages.sort_unstable();
        // Half at once, so that this is seldom done.
        if let Some(middle) = ages.get(MOST_ADDRESSES / 2).copied() {
            self.0.retain(|_, wrong| wrong.last > middle);
        }
    }
}

/// What counts as one address: a host usually has a whole /64 of IPv6 (RFC 4291, section 2.5.4).
pub(super) fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(n: u32) -> IpAddr {
        std::net::Ipv4Addr::from_bits(n).into()
    }

    #[test]
    fn pauses_grow_and_are_forgotten() {
        let (mut guesses, begin) = (Guesses::default(), Instant::now());
        for count in 1..FREE {
            assert!(!guesses.record(address(1), begin));
            assert_eq!((guesses.count(address(1), begin), guesses.pause(address(1), begin)), (count, None));
        }
        assert!(guesses.record(address(1), begin), "limited from now on");
        assert_eq!(guesses.pause(address(1), begin), Some(FIRST_PAUSE));
        assert_eq!(guesses.pause(address(2), begin), None);
        assert_eq!(guesses.pause(address(1), begin + FIRST_PAUSE), None);
        for _ in 0..100 {
            guesses.record(address(1), begin);
        }
        assert_eq!(guesses.pause(address(1), begin), Some(FIRST_PAUSE * 32));
        assert_eq!(guesses.count(address(1), begin + MEMORY), 0);
    }

    #[test]
    fn memory_is_bounded_and_a_64_is_one_address() {
        let (mut guesses, begin) = (Guesses::default(), Instant::now());
        for n in 0..10 * MOST_ADDRESSES as u32 {
            guesses.record(address(n), begin + Duration::from_micros(n.into()));
        }
        assert!(guesses.0.len() <= MOST_ADDRESSES);
        assert_eq!(network("2001:db8::1".parse().unwrap()), network("2001:db8::ffff".parse().unwrap()));
        assert_ne!(network("2001:db8:0:1::1".parse().unwrap()), network("2001:db8::1".parse().unwrap()));
    }
}
