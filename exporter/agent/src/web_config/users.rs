//! Who may ask: names with the bcrypt hashes of their passwords.

use std::collections::BTreeMap;

use bcrypt::HashParts;

use super::Fault;
use super::document::{Entry, Value, dotted};

/// A hash of this cost takes some seconds; each step more doubles that, and a scraper does not wait so long.
const DEAREST: u32 = 16;

/// The users.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Users {
    hashes: BTreeMap<String, String>,
    /// What an unknown user's password is compared with: never equal, and as dear as the dearest of the others.
    decoy: String,
}

/// Hashes do not belong into a log.
impl std::fmt::Debug for Users {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.hashes.keys()).finish()
    }
}

impl Users {
    /// Reads `basic_auth_users`.
    pub(super) fn parse(entries: &[Entry]) -> Result<Self, Fault> {
        let mut hashes = BTreeMap::new();
        let mut dearest = bcrypt::DEFAULT_COST;
        for (index, entry) in entries.iter().enumerate() {
            let fault = |complaint: &str| {
                Err(Fault::new(entry.line, &dotted("basic_auth_users", &entry.key), complaint))
            };
            if entry.key.is_empty() || entry.key.contains(|c: char| c == ':' || c.is_control()) {
                return fault(
                    "is no user's name: it may not be empty nor hold a colon or control characters",
                );
            }
            let Value::Text { text, .. } = &entry.value else {
                return fault(&format!("is {} where a bcrypt hash belongs", entry.value.kind()));
            };
            let Ok(parts) = text.parse::<HashParts>() else {
                return fault(
                    "is no bcrypt hash such as $2y$10$…; make one with: htpasswd -nBC 10 \"\" | tr -d ':\\n'",
                );
            };
            if parts.get_cost() > DEAREST {
                return fault(&format!(
                    "has the cost {}, which takes longer than a scrape may; make a hash with a cost of at most {DEAREST}",
                    parts.get_cost()
                ));
            }
            dearest = if index == 0 { parts.get_cost() } else { dearest.max(parts.get_cost()) };
            hashes.insert(entry.key.clone(), text.clone());
        }
        Ok(Self { hashes, decoy: format!("$2b${dearest:02}${}", ".".repeat(53)) })
    }

    /// Whether everybody may ask.
    pub fn is_empty(&self) -> bool {
        self.hashes.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.hashes.len()
    }

    /// The hash to compare a password of `user` with, and whether a match counts: for an unknown one it is a decoy, so
    /// that the answer takes as long.
    pub fn hash(&self, user: &str) -> (&str, bool) {
        self.hashes.get(user).map_or((&self.decoy, false), |hash| (hash, true))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(user: &str, hash: &str) -> Entry {
        Entry { key: user.into(), line: 1, value: Value::Text { text: hash.into(), plain: true } }
    }

    #[test]
    fn an_unknown_user_is_compared_as_dearly() {
        let [cheap, dear] = [4, 6].map(|cost| bcrypt::hash("secret", cost).unwrap());
        let users = Users::parse(&[entry("a", &cheap), entry("b", &dear)]).unwrap();
        assert_eq!(users.hash("a"), (&*cheap, true));
        let (decoy, counts) = users.hash("c");
        assert!(!counts);
        assert_eq!(decoy.parse::<HashParts>().unwrap().get_cost(), 6);
        assert!(!bcrypt::verify("secret", decoy).unwrap());
        assert_eq!(format!("{users:?}"), r#"{"a", "b"}"#);
    }

    #[test]
    fn hashes_of_other_makers() {
        // htpasswd, PHP and OpenBSD differ in the letter.
        for letter in ["2y", "2a", "2b"] {
            let hash = format!("${letter}$04$abcdefghijklmnopqrstuuF0a7Ds1mkfCfEjVkrjhvHyUGmYq4ETK");
            assert!(Users::parse(&[entry("a", &hash)]).is_ok(), "{hash}");
        }
    }
}
