//! The electricity grid: how much carbon its power carries, by shipped tables and by those who publish it live.
//!
//! [`zones`] and [`generation`] are the tables. For the rest there is one file per provider, and what they share once.
//! A provider is pure: it says which zones it covers, what to ask and what an answer means. Who asks, when, with which
//! credential and what happens when that fails is the same for all of them: `schedule`, `web` and `live`.

mod completeness;
mod credential;
mod disk;
mod explanation;
mod failure;
mod feed;
pub mod generation;
mod json;
mod live;
mod mix;
mod plan;
mod provider;
mod schedule;
mod session;
#[cfg(test)]
mod tests;
mod time;
mod web;
pub mod zones;

mod eia;
mod electricitymaps;
mod entsoe;
mod file;
mod fixed;
mod rte;
mod uk;
mod watttime;

pub use credential::{Credential, Secret};
pub use failure::{Failure, Reason};
pub use live::Live;
pub use plan::{Chosen, Error, Plan};
pub use provider::{Access, Asked, Login, Need, Provider, Quote, Quotes, Request};

/// Every provider, in the order of documentation. A new one is one file and one line.
pub const PROVIDERS: &[&Provider] = &[
    &electricitymaps::PROVIDER,
    &watttime::PROVIDER,
    &uk::PROVIDER,
    &rte::PROVIDER,
    &entsoe::PROVIDER,
    &eia::PROVIDER,
    &file::PROVIDER,
    &fixed::PROVIDER,
];

/// The provider of that name, as in `--grid.provider`.
pub fn provider(name: &str) -> Option<&'static Provider> {
    PROVIDERS.iter().copied().find(|provider| provider.name == name)
}

/// Whether a provider whose zones are known serves `zone`. The zones of `file` and `static` are the operator's.
pub fn is_served(zone: &str) -> bool {
    let is_public = |provider: &&&Provider| matches!(provider.access, Access::Web { .. });
    PROVIDERS.iter().filter(is_public).any(|provider| (provider.covers)(zone).is_some())
}
