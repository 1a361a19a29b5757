//! A budget: how much energy or carbon something may use in a period.

use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::units::{Carbon, Energy};

/// How often a budget begins anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Period {
    /// Never.
    Lifetime,
    /// At midnight UTC.
    Day,
    /// At midnight UTC before the first of a month.
    Month,
}

impl Period {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Lifetime, Self::Day, Self::Month];

    /// The value of the `period` label.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Lifetime => "lifetime",
            Self::Day => "day",
            Self::Month => "month",
        }
    }
}

/// A budget of one subject.
#[derive(Clone, Debug, PartialEq)]
pub struct Budget {
    /// The labels of what it is for, as in `namespace`, `pod`.
    pub subject: Vec<(&'static str, Arc<str>)>,
    /// Its period.
    pub period: Period,
    /// The energy that may be used, PUE included.
    pub energy: Option<Energy>,
    /// The carbon that may be emitted.
    pub carbon: Option<Carbon>,
}

/// What may carry a budget: each row the labels that name it. A label of one row may stand in another; the whole row tells.
pub const SUBJECTS: &[&[&str]] = &[
    &["namespace"],
    &["namespace", "workload_kind", "workload"],
    &["namespace", "pod"],
    &["scheduler", "job_id"],
    &["user"],
    &["account"],
    &["unit"],
    &["vm"],
];
