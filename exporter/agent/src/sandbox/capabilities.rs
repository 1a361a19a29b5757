//! Capabilities, and privileges that a program could bring: what is not needed is given up for good.
//!
//! <https://man7.org/linux/man-pages/man7/capabilities.7.html>

use std::fmt;
use std::io;

use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, capability_is_in_bounding_set, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities, set_no_new_privs,
};

/// What was given up of them, and what not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// What was held and is not any more.
    pub given_up: CapabilitySet,
    /// What is held still.
    pub kept: CapabilitySet,
}

impl Capabilities {
    /// All are kept that are held.
    pub(super) fn held() -> Self {
        let kept = capabilities(None).map_or(CapabilitySet::empty(), |sets| sets.permitted);
        Self { given_up: CapabilitySet::empty(), kept }
    }

    /// Gives up all of this thread's but those of `needed` that it has, and new privileges.
    pub(super) fn keep(needed: CapabilitySet) -> io::Result<Self> {
        set_no_new_privs(true)?;
        let held = capabilities(None)?.permitted;
        let kept = held & needed;
        // The bounding set first: it takes a capability to shrink it. Without that one, or where a seccomp filter
        // forbids it, nothing is lost: no program that this one could start gets any privilege.
        for capability in CapabilitySet::all().iter().filter(|one| !kept.contains(*one)) {
            if capability_is_in_bounding_set(capability).unwrap_or(false) {
                let _ = remove_capability_from_bounding_set(capability);
            }
        }
        // Kernels before 4.3 have no such set.
        let _ = clear_ambient_capability_set();
        let sets = CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() };
        set_capabilities(None, sets)?;
        Ok(Self { given_up: held - kept, kept })
    }
}

/// Their names, as `capsh` and systemd write them.
pub fn names(set: CapabilitySet) -> String {
    let names = set.iter_names().map(|(name, _)| format!("CAP_{name}"));
    names.collect::<Vec<_>>().join(", ")
}

impl fmt::Display for Capabilities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |set: CapabilitySet| set.iter().count();
        match count(self.given_up | self.kept) {
            0 => return f.write_str("had no capabilities"),
            held => write!(f, "gave up {} of {held} capabilities", count(self.given_up))?,
        }
        if self.kept.is_empty() { Ok(()) } else { write!(f, " and keeps {}", names(self.kept)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_told_in_words() {
        let both = |given_up, kept| Capabilities { given_up, kept }.to_string();
        let (none, read) = (CapabilitySet::empty(), CapabilitySet::DAC_READ_SEARCH);
        assert_eq!(both(none, none), "had no capabilities");
        assert_eq!(both(read | CapabilitySet::CHOWN, none), "gave up 2 of 2 capabilities");
        let kept = "gave up 1 of 2 capabilities and keeps CAP_DAC_READ_SEARCH";
        assert_eq!(both(CapabilitySet::CHOWN, read), kept);
    }

    #[test]
    fn a_thread_gives_up_its_own_alone() {
        let before = capabilities(None).unwrap();
        let given = std::thread::spawn(|| {
            let given = Capabilities::keep(CapabilitySet::DAC_READ_SEARCH).unwrap();
            (given, capabilities(None).unwrap())
        });
        let (given, after) = given.join().unwrap();
        assert_eq!(given.given_up | given.kept, before.permitted);
        assert_eq!((after.permitted, after.effective), (given.kept, given.kept));
        assert!(CapabilitySet::DAC_READ_SEARCH.contains(given.kept));
        assert_eq!(capabilities(None).unwrap(), before);
    }
}
