//! Which accounts have series of their own, where there may be only so many.
//!
//! A place is taken at the first use: a workload that has used nothing is shown while there is room, and gives way to one that
//! has. Workloads of one delegated tree, whose owner makes as many cgroups as they like, share a bound of their own. What has
//! no place pays into the account of its surroundings, or into that of the folded.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use super::{Account, AccountId, Hold, Ledger};
use crate::snapshot::Totals;
use crate::workload::{Info, Key};

/// One delegated tree has at most this part of all places.
const PART: usize = 10;

/// The delegated tree that a workload lies in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delegation {
    /// Its name.
    pub tree: Arc<str>,
    /// Where those pay that are too many: the nearest enclosing workload.
    pub rest: Option<AccountId>,
}

/// Whether an account has a series.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Place {
    /// It has one.
    Shown,
    /// It has used nothing yet, and there was no room for that.
    #[default]
    Waiting,
    /// There was no room when it first used something: it pays into this one, for as long as its workload lives.
    Folded(AccountId),
}

impl Account {
    /// Whether its workload has used anything.
    fn used(&self) -> bool {
        self.cpu > Duration::ZERO || self.energy != Totals::ZERO
    }

    fn is_idle(&self) -> bool {
        self.place == Place::Shown && !self.used() && self.key.as_deref().is_some_and(|key| !key.is_folded())
    }
}

impl Ledger {
    /// The account that is charged in place of this one: mostly itself.
    pub(super) fn payer(&self, id: AccountId) -> AccountId {
        match self.accounts.get(id.0 as usize) {
            Some(Some(Account { place: Place::Folded(into), .. })) => *into,
            _ => id,
        }
    }

    /// Shows a new account at once where there is room; else it waits.
    pub(super) fn seat(&mut self, id: AccountId) {
        if self.has_room(id) && self.has_room_in_tree(id) {
            self.show(id);
        }
    }

    /// Gives places to those who wait and have used something.
    pub(super) fn seat_used(&mut self) {
        if self.by_key.len() == self.shown {
            return;
        }
        let waits =
            |account: &Account| account.place == Place::Waiting && account.key.is_some() && account.used();
        let waiting = self.find(waits);
        if waiting.is_empty() {
            return;
        }
        let mut idle = self.find(Account::is_idle);
        // The first to give way are those of delegated trees; in each kind, the oldest.
        idle.sort_by_key(|id| self.delegation(*id).is_none());
        for id in waiting {
            self.seat_one(id, &mut idle);
        }
    }

    fn seat_one(&mut self, id: AccountId, idle: &mut Vec<AccountId>) {
        if !self.has_room_in_tree(id) {
            let tree = self.delegation(id).map(|one| Arc::clone(&one.tree));
            let same = |other: &AccountId| self.delegation(*other).map(|one| &one.tree) == tree.as_ref();
            match idle.iter().position(same) {
                Some(place) => self.hide(idle.remove(place)),
                None => return self.fold(id, self.delegation(id).and_then(|one| one.rest)),
            }
        }
        if !self.has_room(id) {
            match idle.is_empty() {
                true => return self.fold(id, None),
                false => self.hide(idle.remove(0)),
            }
        }
        self.show(id);
    }

    /// Whether the account has a series.
    pub(super) fn is_shown(&self, id: AccountId) -> bool {
        matches!(self.accounts.get(id.0 as usize), Some(Some(Account { place: Place::Shown, .. })))
    }

    /// Those that pay into an account pay into another one from now on. How many they are.
    pub(super) fn redirect(&mut self, from: AccountId, to: AccountId) -> u32 {
        let mut moved = 0;
        for account in self.accounts.iter_mut().flatten().filter(|one| one.place == Place::Folded(from)) {
            account.place = Place::Folded(to);
            moved += 1;
        }
        for account in self.accounts.iter_mut().flatten() {
            let rest = account.delegation.as_mut().and_then(|delegation| delegation.rest.as_mut());
            rest.into_iter().filter(|rest| **rest == from).for_each(|rest| *rest = to);
        }
        debug_assert!(moved == 0 || self.accounts.get(to.0 as usize).is_some_and(Option::is_some));
        moved
    }

    fn find(&self, fits: impl Fn(&Account) -> bool) -> Vec<AccountId> {
        let all = (0..).zip(&self.accounts);
        all.filter(|(_, account)| account.as_ref().is_some_and(&fits)).map(|(id, _)| AccountId(id)).collect()
    }

    fn delegation(&self, id: AccountId) -> Option<&Delegation> {
        self.accounts.get(id.0 as usize)?.as_ref()?.delegation.as_ref()
    }

    fn has_room(&self, id: AccountId) -> bool {
        let folded = self.accounts.get(id.0 as usize).and_then(|account| account.as_ref()?.key.as_deref());
        self.shown < self.terms.max || folded.is_some_and(Key::is_folded)
    }

    fn has_room_in_tree(&self, id: AccountId) -> bool {
        let most = (self.terms.max / PART).max(1);
        self.delegation(id).and_then(|one| self.trees.get(&one.tree)).is_none_or(|shown| *shown < most)
    }

    pub(super) fn show(&mut self, id: AccountId) {
        if let Some(account) = self.account(id) {
            debug_assert!(account.place == Place::Waiting, "an account is shown once");
            account.place = Place::Shown;
        }
        self.count(id, 1);
    }

    /// Takes the series of an account that has used nothing: it was at 0.
    fn hide(&mut self, id: AccountId) {
        self.count(id, -1);
        if let Some(account) = self.account(id) {
            debug_assert!(!account.used(), "only what is at 0 gives way");
            (account.place, account.hold, account.since) = (Place::Waiting, Hold::Unborn, None);
        }
    }

    /// Counts an account among those that are shown, or no longer.
    pub(super) fn count(&mut self, id: AccountId, by: isize) {
        let Some(Some(account)) = self.accounts.get(id.0 as usize) else { return };
        if account.place != Place::Shown || account.key.as_deref().is_none_or(Key::is_folded) {
            return;
        }
        self.shown = self.shown.saturating_add_signed(by);
        if let Some(tree) = account.delegation.as_ref().map(|one| Arc::clone(&one.tree)) {
            let shown = self.trees.entry(Arc::clone(&tree)).or_default();
            *shown = shown.saturating_add_signed(by);
            if *shown == 0 {
                self.trees.remove(&tree);
            }
        }
    }

    /// From its first joule on, the account's workload pays into `rest`, or where there is none, with the folded.
    fn fold(&mut self, id: AccountId, rest: Option<AccountId>) {
        let open = |id: &AccountId| self.accounts.get(id.0 as usize).is_some_and(Option::is_some);
        let into = match rest.map(|rest| self.payer(rest)).filter(|rest| *rest != id && open(rest)) {
            Some(rest) => {
                if let Some(account) = self.account(rest) {
                    account.living += 1;
                    account.final_since = None;
                }
                rest
            }
            None => {
                self.folded += 1;
                self.admit(Key::folded(), Info::new())
            }
        };
        let Some(account) = self.account(id) else { return };
        let (energy, cpu) = (core::mem::replace(&mut account.energy, Totals::ZERO), account.cpu);
        account.cpu = Duration::ZERO;
        account.place = Place::Folded(into);
        if let Some(key) = account.key.take() {
            self.by_key.remove(&key);
        }
        if let Some(into) = self.account(into) {
            into.energy.add_all(&energy);
            into.cpu += cpu;
        }
    }
}
