//! Which cgroups are which workloads, and under which account each pays.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::fmt;
use core::hash::{Hash, Hasher};
use core::time::Duration;

use alloc::sync::Arc;

use crate::hierarchy::Hierarchy;
use crate::ledger::{AccountId, Delegation, Ledger};
use crate::reading::Moment;
use crate::sample::{Birth, Cgroup, CgroupId, Sample};
use crate::usage::{Base, Consumer, ConsumerId, Usage};
use crate::workload::{Identity, Info, Key, Workload};

/// Who knows what workloads are called. Asked at every tick while it answers «not yet», so it answers from memory.
pub trait Names: fmt::Debug {
    /// What is known of the workload.
    fn identify(&self, workload: &Workload) -> Identity;

    /// A number that is another one whenever [`Names::identify`] may answer something else than before.
    fn generation(&self) -> u64 {
        0
    }

    /// What came to be known since the last tick of workloads that are identified already: the whole of their info. The
    /// labels that they are charged under stay as they are.
    fn news(&self) -> &[(Key, Info)] {
        &[]
    }
}

/// No source of names: every workload goes under its ids at once.
#[derive(Clone, Copy, Debug)]
pub struct NoNames;

impl Names for NoNames {
    fn identify(&self, _: &Workload) -> Identity {
        Identity::Never
    }
}

/// How often it is asked at least for the names of those who go under their ids: a source may have to be asked to tell them.
const ASK_AGAIN: Duration = Duration::from_secs(30);

/// The workloads that are charged.
#[derive(Debug)]
pub struct Roster {
    identity_timeout: Duration,
    /// The generation of the names by which the workloads were last asked for, and when that was.
    asked: (u64, Moment),
    /// By cgroup.
    members: Vec<Option<Member>>,
    /// Workloads whose cgroups are gone, until their last interval is charged.
    ended: Vec<(Member, Moment)>,
    unnamed: Vec<Unnamed>,
}

#[derive(Clone, Debug)]
struct Member {
    consumer: ConsumerId,
    workload: Arc<Workload>,
    /// Whether it may yet get another name: see [`is_provisional`].
    provisional: bool,
}

#[derive(Clone, Debug)]
struct Unnamed {
    cgroup: CgroupId,
    account: AccountId,
    consumer: ConsumerId,
    workload: Arc<Workload>,
    above: Info,
    delegation: Option<Delegation>,
    since: Moment,
}

impl Roster {
    /// An empty one; after `identity_timeout` a workload goes under its ids.
    pub const fn new(identity_timeout: Duration) -> Self {
        let asked = (0, Moment::from_boot(Duration::ZERO));
        Self { identity_timeout, asked, members: Vec::new(), ended: Vec::new(), unnamed: Vec::new() }
    }

    /// Opens accounts for the workloads that are new in the sample, and asks again for the names that are missing.
    pub fn meet(&mut self, sample: &Sample<'_>, names: &dyn Names, usage: &mut Usage, ledger: &mut Ledger) {
        self.ask_again(sample.at, names, usage, ledger);
        self.rename(sample, names, usage, ledger);
        for (key, info) in names.news() {
            ledger.describe(key, info);
        }
        self.members.resize(sample.cgroups.len(), None);
        for (id, cgroup) in (0..).zip(sample.cgroups) {
            if cgroup.birth != Birth::Earlier {
                self.end(id, sample.at);
            }
            let Some(workload) = cgroup.workload.as_ref().filter(|_| cgroup.present) else { continue };
            match self.member(id) {
                None => self.begin(sample, id, workload, names, usage, ledger),
                Some(member) => {
                    if let Some(consumer) = usage.consumer(member) {
                        consumer.sockets = cgroup.sockets;
                    }
                }
            }
        }
    }

    /// Adds what each cgroup used itself to the workload that it belongs to.
    pub fn add_usage(
        &mut self,
        sample: &Sample<'_>,
        hierarchy: &Hierarchy,
        interval: Duration,
        usage: &mut Usage,
        ledger: &mut Ledger,
    ) {
        for (id, cgroup) in (0..).zip(sample.cgroups) {
            if !cgroup.present {
                continue;
            }
            if let Some(member) = self.owner(sample.cgroups, id) {
                let cpu = hierarchy.cpu(id);
                let memory = if cgroup.gone { 0 } else { hierarchy.memory(id, cgroup) };
                usage.add(member, cpu, memory, interval);
                if let Some(consumer) = usage.consumer(member) {
                    if cgroup.workload.is_some() {
                        consumer.reserved = hierarchy.reserved(id, cgroup);
                    }
                    ledger.used(consumer.account, Duration::from_nanos(cpu));
                }
            }
            if cgroup.gone {
                self.end(id, sample.at);
            }
        }
    }

    /// The consumers by what they are, the ended included, until they are let go.
    pub fn consumers(&self) -> BTreeMap<&Workload, ConsumerId> {
        let ended = self.ended.iter().map(|(member, _)| member);
        // The living come last: where both are there, they pay.
        ended.chain(self.members.iter().flatten()).map(|one| (&*one.workload, one.consumer)).collect()
    }

    /// Lets go of the ended workloads of which nothing is left to be charged in the `open` intervals; `settled` tells
    /// whether that holds elsewhere too, of a consumer that ended at an instant.
    pub fn settle(
        &mut self,
        usage: &mut Usage,
        ledger: &mut Ledger,
        open: &[&Base],
        settled: impl Fn(ConsumerId, Moment) -> bool,
    ) {
        let unnamed = &self.unnamed;
        self.ended.retain(|(member, at)| {
            let member = member.consumer;
            let Some(account) = usage.consumer(member).map(|consumer| consumer.account) else {
                return false;
            };
            if unnamed.iter().any(|one| one.consumer == member)
                || !settled(member, *at)
                || !usage.release(member, open.iter().copied())
            {
                return true;
            }
            ledger.leave(account);
            false
        });
    }

    /// The workload of the cgroup itself or of its nearest ancestor that is one.
    fn owner(&self, cgroups: &[Cgroup], id: CgroupId) -> Option<ConsumerId> {
        let owner = Hierarchy::nearest(cgroups, id, |cgroup| cgroup.workload.is_some())?;
        self.member(owner)
    }

    fn member(&self, id: CgroupId) -> Option<ConsumerId> {
        self.members.get(id as usize)?.as_ref().map(|member| member.consumer)
    }

    fn begin(
        &mut self,
        sample: &Sample<'_>,
        id: CgroupId,
        workload: &Arc<Workload>,
        names: &dyn Names,
        usage: &mut Usage,
        ledger: &mut Ledger,
    ) {
        let Some(cgroup) = sample.cgroups.get(id as usize) else { return };
        let above = enclosing_job(sample.cgroups, cgroup);
        let identity = names.identify(workload);
        let unnamed = identity == Identity::NotYet;
        let delegation = self.delegation(sample.cgroups, cgroup, workload, usage);
        let (account, provisional) = match labels(identity, workload) {
            None => (ledger.admit_unnamed(), false),
            Some((key, info)) => {
                let (provisional, info) = (is_provisional(workload, &key), [info, above.clone()].concat());
                (ledger.admit_from(key, info, delegation.clone()), provisional)
            }
        };
        let consumer = Consumer { account, sockets: cgroup.sockets, reserved: cgroup.reserved };
        let member = usage.begin(consumer, tie(workload));
        if unnamed {
            let workload = Arc::clone(workload);
            let since = sample.at;
            self.unnamed.push(Unnamed {
                cgroup: id,
                account,
                consumer: member,
                workload,
                above,
                delegation,
                since,
            });
        }
        if let Some(slot) = self.members.get_mut(id as usize) {
            *slot = Some(Member { consumer: member, workload: Arc::clone(workload), provisional });
        }
    }

    /// The delegated tree that the workload lies in, and the account of what it lies in.
    fn delegation(
        &self,
        cgroups: &[Cgroup],
        cgroup: &Cgroup,
        workload: &Workload,
        usage: &mut Usage,
    ) -> Option<Delegation> {
        let tree = workload.delegated_tree()?;
        let enclosing = cgroup.parent.and_then(|parent| self.owner(cgroups, parent));
        let rest = enclosing.and_then(|consumer| usage.consumer(consumer)).map(|consumer| consumer.account);
        Some(Delegation { tree, rest })
    }

    fn end(&mut self, id: CgroupId, at: Moment) {
        if let Some(member) = self.members.get_mut(id as usize).and_then(Option::take) {
            self.ended.push((member, at));
        }
    }

    fn ask_again(&mut self, now: Moment, names: &dyn Names, usage: &mut Usage, ledger: &mut Ledger) {
        let (timeout, members) = (self.identity_timeout, &mut self.members);
        // The numbers of accounts that were named in this round, before and after.
        let mut named = BTreeMap::new();
        self.unnamed.retain(|one| {
            let identity = match names.identify(&one.workload) {
                Identity::NotYet if now.since(one.since) >= timeout => Identity::Never,
                identity => identity,
            };
            let Some((key, info)) = labels(identity, &one.workload) else { return true };
            let member = members.get_mut(one.cgroup as usize).and_then(Option::as_mut);
            if let Some(member) = member.filter(|member| member.consumer == one.consumer) {
                member.provisional = is_provisional(&one.workload, &key);
            }
            let info = [info, one.above.clone()].concat();
            let account = ledger.name(one.account, key, info, renumbered(one.delegation.as_ref(), &named));
            named.insert(one.account, account);
            if let Some(consumer) = usage.consumer(one.consumer) {
                consumer.account = account;
            }
            false
        });
        for one in &mut self.unnamed {
            one.delegation = renumbered(one.delegation.as_ref(), &named);
        }
    }

    /// Gives those who go under their ids the names that have come since: after the time in which they were waited for, after a
    /// source was found that was not there, or because what was taken for a pod's sandbox is a container.
    fn rename(&mut self, sample: &Sample<'_>, names: &dyn Names, usage: &mut Usage, ledger: &mut Ledger) {
        let (generation, asked) = self.asked;
        if names.generation() == generation && sample.at.since(asked) < ASK_AGAIN {
            return;
        }
        self.asked = (names.generation(), sample.at);
        let mut renamed = BTreeMap::new();
        for (id, cgroup) in sample.cgroups.iter().enumerate() {
            // Whoever is gone by now has come to its end under the name that it had.
            let Some(Some(member)) = self.members.get(id) else { continue };
            if !member.provisional || cgroup.birth != Birth::Earlier || !cgroup.present {
                continue;
            }
            let Identity::Known(key, info) = names.identify(&member.workload) else { continue };
            let provisional = is_provisional(&member.workload, &key);
            let delegation = self.delegation(sample.cgroups, cgroup, &member.workload, usage);
            if let Some(consumer) = usage.consumer(member.consumer)
                && ledger.key(consumer.account).is_some_and(|before| *before != key)
            {
                let info = [info, enclosing_job(sample.cgroups, cgroup)].concat();
                let account = ledger.rename(consumer.account, key, info, delegation);
                renamed.insert(consumer.account, account);
                consumer.account = account;
            }
            if let Some(Some(member)) = self.members.get_mut(id) {
                member.provisional = provisional;
            }
        }
        for one in self.unnamed.iter_mut().filter(|_| !renamed.is_empty()) {
            one.delegation = renumbered(one.delegation.as_ref(), &renamed);
        }
    }
}

/// The same with the present number of the account of the surroundings.
fn renumbered(delegation: Option<&Delegation>, named: &BTreeMap<AccountId, AccountId>) -> Option<Delegation> {
    let delegation = delegation?;
    let rest = delegation.rest.map(|rest| named.get(&rest).copied().unwrap_or(rest));
    Some(Delegation { tree: Arc::clone(&delegation.tree), rest })
}

/// The labels under which a workload goes, if that is known.
fn labels(identity: Identity, workload: &Workload) -> Option<(Key, Info)> {
    match identity {
        Identity::Known(key, info) => Some((key, info)),
        Identity::Never => Some((workload.key_by_id(), workload.info_by_id())),
        Identity::NotYet => None,
    }
}

/// Whether these labels of the workload may yet turn out to be others: its ids, for want of a name; or its pod's own, which a
/// container has only by exclusion. Names of units, virtual machines and users' containers are in their paths.
fn is_provisional(workload: &Workload, key: &Key) -> bool {
    match workload {
        Workload::Container { .. } => {
            key.values.last().is_some_and(|container| &**container == "POD") || *key == workload.key_by_id()
        }
        Workload::Pod { .. } | Workload::NestedContainer { .. } | Workload::Job { .. } => {
            *key == workload.key_by_id()
        }
        Workload::UserContainer { .. } | Workload::Unit { .. } | Workload::Vm { .. } => false,
    }
}

/// A container inside a job is the container's; its info carries the job. A job's own info has these labels already.
fn enclosing_job(cgroups: &[Cgroup], cgroup: &Cgroup) -> Info {
    let is_job = |cgroup: &Cgroup| matches!(cgroup.workload.as_deref(), Some(Workload::Job { .. }));
    if is_job(cgroup) {
        return Info::new();
    }
    let job = cgroup.parent.and_then(|parent| Hierarchy::nearest(cgroups, parent, is_job));
    let job = job.and_then(|job| cgroups.get(job as usize)).and_then(|job| job.workload.as_deref());
    match job.map(Workload::key_by_id) {
        Some(key) => key.family.labels().iter().copied().zip(key.values).collect(),
        None => Info::new(),
    }
}

/// An order among workloads that does not depend on where they stand: FNV-1a of what they are.
fn tie(workload: &Workload) -> u64 {
    struct Fnv(u64);
    impl Hasher for Fnv {
        fn finish(&self) -> u64 {
            self.0
        }
        fn write(&mut self, bytes: &[u8]) {
            for byte in bytes {
                self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
            }
        }
    }
    let mut hasher = Fnv(0xcbf2_9ce4_8422_2325);
    workload.hash(&mut hasher);
    hasher.finish()
}
