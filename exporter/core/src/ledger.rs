//! Totals so far, by exported label set; zero-first, linger and retirement.
//!
//! Every joule that comes in is in the node's total and in exactly one of: a workload's account, `unattributed`,
//! `retired`. What is *shown* differs only by what is held and by what is finer than the granularity, and both are
//! `pending`.

mod places;

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use crate::granularity::Granularity;
use crate::reading::{Component, Moment};
use crate::snapshot::{ComponentRow, Generation, Mode, Row, Snapshot, Totals};
use crate::units::Energy;
use crate::workload::{Info, Key};
pub use places::Delegation;
use places::Place;

/// How long series live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// For how long the series of an ended workload stays at its final value.
    pub linger: Duration,
    /// For how long at most a new series stays at 0 until it was fetched.
    pub zero_hold: Duration,
    /// How many series of workloads there may be; the rest is folded into one.
    pub max: usize,
}

/// An account of the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountId(u32);

/// Whether a series may show its value yet. Prometheus ignores the value that a series starts with, so it starts at 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// Not in any snapshot yet.
    Unborn,
    /// Shown as 0 since this snapshot.
    Held {
        /// The first snapshot that has it.
        born: Generation,
        /// When that was made.
        at: Moment,
    },
    /// Shown as it is.
    Released,
}

impl Hold {
    /// Moves on: into its first snapshot, or free, when every active client has fetched the zero or the time is over.
    pub fn advance(&mut self, publication: &Publication, zero_hold: Duration) {
        match *self {
            Self::Unborn => *self = Self::Held { born: publication.generation, at: publication.at },
            Self::Held { born, at } => {
                let fetched = publication.acknowledged.is_some_and(|acknowledged| acknowledged >= born);
                if fetched || publication.at.since(at) >= zero_hold {
                    *self = Self::Released;
                }
            }
            Self::Released => {}
        }
    }

    /// Whether the value may be shown.
    pub fn released(self) -> bool {
        self == Self::Released
    }
}

/// What a new snapshot is made under.
#[derive(Clone, Copy, Debug)]
pub struct Publication {
    /// Its generation.
    pub generation: Generation,
    /// When it is made.
    pub at: Moment,
    /// The newest generation that every active client has fetched.
    pub acknowledged: Option<Generation>,
}

#[derive(Clone, Debug)]
struct Account {
    /// `None` while the workload has no name: then all of it is pending. `None` too of one that pays into another.
    key: Option<Arc<Key>>,
    place: Place,
    delegation: Option<Delegation>,
    info: Arc<Info>,
    energy: Totals,
    cpu: Duration,
    hold: Hold,
    /// When its series was first shown, at 0.
    since: Option<Moment>,
    /// Living workloads that pay into it.
    living: u32,
    /// When and in which snapshot the final value was first shown.
    final_since: Option<(Moment, Generation)>,
}

/// The ledger.
#[derive(Clone, Debug)]
pub struct Ledger {
    terms: Terms,
    granularity: Granularity,
    accounts: Vec<Option<Account>>,
    vacant: Vec<u32>,
    by_key: BTreeMap<Arc<Key>, AccountId>,
    /// Label sets that were retired, until everybody has seen that they are gone: one that comes back before would fall.
    departed: BTreeMap<Arc<Key>, Hold>,
    node: Totals,
    unattributed: Totals,
    retired: Totals,
    components: [Option<Hold>; Component::COUNT],
    folded: u64,
    /// How many accounts have a place, that of the folded aside; and of these, in each delegated tree.
    shown: usize,
    trees: BTreeMap<Arc<str>, usize>,
}

impl Ledger {
    /// An empty ledger, which shows energy in steps of `granularity`.
    pub const fn new(terms: Terms, granularity: Granularity) -> Self {
        Self {
            terms,
            granularity,
            accounts: Vec::new(),
            vacant: Vec::new(),
            by_key: BTreeMap::new(),
            departed: BTreeMap::new(),
            node: ZERO,
            unattributed: ZERO,
            retired: ZERO,
            components: [None; Component::COUNT],
            folded: 0,
            shown: 0,
            trees: BTreeMap::new(),
        }
    }

    /// For how long a series stays at 0 at most.
    pub const fn zero_hold(&self) -> Duration {
        self.terms.zero_hold
    }

    /// The node has a meter of this component: its series exist from now on.
    pub fn meter(&mut self, component: Component) {
        if let Some(hold) = self.components.get_mut(component as usize) {
            hold.get_or_insert(Hold::Unborn);
        }
    }

    /// The node has no meter of this component any more. Its series end, if they never showed any energy.
    pub fn unmeter(&mut self, component: Component) {
        if self.node.component(component) == Energy::ZERO
            && let Some(hold) = self.components.get_mut(component as usize)
        {
            *hold = None;
        }
    }

    /// A workload with this label set lives: its account, new or, where the label set is still shown, the old one.
    pub fn admit(&mut self, key: Key, info: Info) -> AccountId {
        self.admit_from(key, info, None)
    }

    /// The same of a workload in a delegated tree.
    pub fn admit_from(&mut self, key: Key, info: Info, delegation: Option<Delegation>) -> AccountId {
        if let Some(id) = self.by_key.get(&key).copied() {
            if let Some(account) = self.account(id) {
                account.living += 1;
                account.final_since = None;
                account.info = Arc::new(info);
            }
            return id;
        }
        let key = Arc::new(key);
        let id = self.open(Account { delegation, ..Account::new(Some(Arc::clone(&key)), info) });
        self.by_key.insert(key, id);
        self.seat(id);
        id
    }

    /// A workload lives whose name is not known yet: what is charged to it is pending until [`Ledger::name`].
    pub fn admit_unnamed(&mut self) -> AccountId {
        self.open(Account::new(None, Info::new()))
    }

    /// An unnamed account's labels are known: its contents move to the account of these labels, which comes back. A
    /// workload that ended in the meantime ends there too.
    pub fn name(
        &mut self,
        unnamed: AccountId,
        key: Key,
        info: Info,
        delegation: Option<Delegation>,
    ) -> AccountId {
        let Some(old) = self.close(unnamed) else { return unnamed };
        let id = self.admit_from(key, info, delegation);
        self.redirect(unnamed, id);
        if let Some(account) = self.account(id) {
            account.energy.add_all(&old.energy);
            account.cpu += old.cpu;
            account.living = account.living.saturating_sub(1) + old.living;
        }
        id
    }

    /// A living workload goes under other labels than before. What it used so far stays under the old ones, whose series ends
    /// as any other, so that no counter falls; from now on it pays into the account of the new ones. That takes the place of the
    /// old one, so it is not folded for want of room.
    pub fn rename(
        &mut self,
        old: AccountId,
        key: Key,
        info: Info,
        delegation: Option<Delegation>,
    ) -> AccountId {
        let new = self.admit_from(key, info, delegation);
        if self.is_shown(old) && !self.is_shown(new) {
            self.show(new);
        }
        let followers = self.redirect(old, new);
        if let Some(account) = self.account(new) {
            account.living += followers;
        }
        (0..=followers).for_each(|_| self.leave(old));
        new
    }

    /// The labels of an account; of one that has none yet, or that pays into another, there are none.
    pub fn key(&self, id: AccountId) -> Option<&Key> {
        self.accounts.get(id.0 as usize)?.as_ref()?.key.as_deref()
    }

    /// The info of the account with these labels, as it is known now; of nobody, where there is none.
    pub fn describe(&mut self, key: &Key, info: &Info) {
        if let Some(id) = self.by_key.get(key).copied()
            && let Some(account) = self.account(id)
        {
            account.info = Arc::new(info.clone());
        }
    }

    /// One workload of the account has ended, and all that it used has been charged.
    pub fn leave(&mut self, id: AccountId) {
        if let Some(account) = self.account(id) {
            account.living = account.living.saturating_sub(1);
        }
    }

    /// Charges energy to an account.
    pub fn charge(&mut self, id: AccountId, component: Component, mode: Mode, energy: Energy) {
        match self.account(self.payer(id)) {
            Some(account) => account.energy.add(component, mode, energy),
            // No such account: still no joule is lost.
            None => self.unattributed.add(component, mode, energy),
        }
        self.node.add(component, mode, energy);
    }

    /// Energy that no workload caused.
    pub fn charge_nobody(&mut self, component: Component, mode: Mode, energy: Energy) {
        self.unattributed.add(component, mode, energy);
        self.node.add(component, mode, energy);
    }

    /// CPU time that an account's workload used.
    pub fn used(&mut self, id: AccountId, cpu: Duration) {
        if let Some(account) = self.account(self.payer(id)) {
            account.cpu += cpu;
        }
    }

    /// Moves holds and terms on, and writes what is to be shown into `snapshot`, whose room is used again.
    pub fn publish(&mut self, publication: &Publication, snapshot: &mut Snapshot) {
        snapshot.generation = publication.generation;
        snapshot.at = publication.at;
        for hold in self.components.iter_mut().flatten() {
            hold.advance(publication, self.terms.zero_hold);
        }
        self.seat_used();
        snapshot.folded = self.folded;
        self.advance_accounts(publication);
        let held: Vec<Component> =
            Component::ALL.into_iter().filter(|component| self.holds(*component)).collect();
        let granularity = self.granularity;
        let shown = |totals: &Totals| {
            held.iter().fold(*totals, |totals, component| totals.without(*component)).split(granularity)
        };
        // The node's own rest is nowhere: its counter is behind by less than a step.
        (snapshot.node, _) = shown(&self.node);
        let (retired, mut pending) = shown(&self.retired);
        let rest;
        (snapshot.unattributed, rest) = shown(&self.unattributed);
        pending.add_all(&rest);
        let mut hold_back = |energy: &Totals| pending.add_all(energy);
        for account in self.accounts.iter().flatten().filter(|account| !account.hold.released()) {
            let (steps, rest) = shown(&account.energy);
            hold_back(&steps);
            hold_back(&rest);
        }
        snapshot.rows.clear();
        snapshot.rows.extend(self.by_key.iter().filter_map(|(key, id)| {
            let account = self.accounts.get(id.0 as usize)?.as_ref()?;
            let since = account.since.filter(|_| account.place == Place::Shown)?;
            let released = account.hold.released();
            let (energy, rest) = if released { shown(&account.energy) } else { (ZERO, ZERO) };
            hold_back(&rest);
            Some(Row {
                key: Arc::clone(key),
                info: Arc::clone(&account.info),
                since,
                energy,
                cpu: if released { account.cpu } else { Duration::ZERO },
            })
        }));
        // Everything else is in whole steps, so the rests of the parts are the node's own and whole steps beyond it.
        let (pending, _) = pending.split(granularity);
        snapshot.components.clear();
        snapshot.components.extend(self.metered().map(|component| ComponentRow {
            component,
            pending: pending.component(component),
            retired: retired.component(component),
            floor: None,
        }));
    }

    fn advance_accounts(&mut self, publication: &Publication) {
        let terms = self.terms;
        self.departed.retain(|_, hold| {
            hold.advance(publication, terms.zero_hold);
            !hold.released()
        });
        let mut due = Vec::new();
        for (place, account) in (0..).zip(&mut self.accounts) {
            if let Some(account) = account
                && !account.is_early(&self.departed)
                && account.advance(publication, &terms)
            {
                due.push(AccountId(place));
            }
        }
        for id in due {
            if let Some(account) = self.close(id) {
                self.retired.add_all(&account.energy);
                if let Some(key) = account.key.filter(|_| account.place == Place::Shown) {
                    let absent = Hold::Held { born: publication.generation, at: publication.at };
                    self.departed.insert(key, absent);
                }
                if let Place::Folded(into) = account.place {
                    self.leave(into);
                }
            }
        }
    }

    fn metered(&self) -> impl Iterator<Item = Component> {
        Component::ALL
            .into_iter()
            .zip(self.components)
            .filter(|(_, hold)| hold.is_some())
            .map(|(component, _)| component)
    }

    fn holds(&self, component: Component) -> bool {
        !matches!(self.components.get(component as usize), Some(Some(Hold::Released)))
    }

    fn account(&mut self, id: AccountId) -> Option<&mut Account> {
        self.accounts.get_mut(id.0 as usize)?.as_mut()
    }

    fn open(&mut self, account: Account) -> AccountId {
        if let Some(place) = self.vacant.pop()
            && let Some(vacant) = self.accounts.get_mut(place as usize)
        {
            *vacant = Some(account);
            return AccountId(place);
        }
        let place = u32::try_from(self.accounts.len()).unwrap_or(u32::MAX);
        self.accounts.push(Some(account));
        AccountId(place)
    }

    fn close(&mut self, id: AccountId) -> Option<Account> {
        self.count(id, -1);
        let account = self.accounts.get_mut(id.0 as usize)?.take()?;
        self.vacant.push(id.0);
        if let Some(key) = &account.key {
            self.by_key.remove(key);
        }
        Some(account)
    }
}

const ZERO: Totals = Totals::ZERO;

impl Account {
    fn new(key: Option<Arc<Key>>, info: Info) -> Self {
        Self {
            key,
            place: Place::default(),
            delegation: None,
            info: Arc::new(info),
            energy: ZERO,
            cpu: Duration::ZERO,
            hold: Hold::Unborn,
            since: None,
            living: 1,
            final_since: None,
        }
    }

    /// Whether its labels were those of a series that somebody may not have seen to be gone yet.
    fn is_early(&self, departed: &BTreeMap<Arc<Key>, Hold>) -> bool {
        self.since.is_none() && self.key.as_ref().is_some_and(|key| departed.contains_key(key))
    }

    /// Moves the account on; `true` when it is to be retired.
    fn advance(&mut self, publication: &Publication, terms: &Terms) -> bool {
        if matches!(self.place, Place::Folded(_)) {
            return self.living == 0;
        }
        if self.key.is_none() {
            return false;
        }
        if self.place == Place::Waiting {
            // It has no series to linger, and nothing to retire.
            return self.living == 0;
        }
        self.hold.advance(publication, terms.zero_hold);
        self.since.get_or_insert(publication.at);
        if self.living > 0 || !self.hold.released() {
            return false;
        }
        let (at, first) = *self.final_since.get_or_insert((publication.at, publication.generation));
        let lingered = publication.at.since(at);
        // Whoever still scrapes has to have seen the final value, however short the term.
        let fetched = publication.acknowledged.is_some_and(|acknowledged| acknowledged >= first);
        lingered >= terms.linger && (fetched || lingered >= terms.linger + terms.zero_hold)
    }
}
