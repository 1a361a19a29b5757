//! What is known of pods, and what was asked for and is not known. Pure: pods and instants come in, a table comes out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use noether_core::reading::Moment;

use super::pod::Pod;
use super::table::{Known, Table};

/// For how long a pod that is gone can still be named: longer than a name is waited for.
const REMEMBERED: Duration = Duration::from_secs(300);

/// So many pods that are gone are remembered at most.
const MOST_GONE: usize = 10_000;

/// So many unknown ids are waited for at most; what is beyond is asked for again when there is room.
const MOST_ASKED: usize = 10_000;

/// An id that nobody asked for any more in this time is forgotten. Ticks may be a minute apart.
const ASKED: Duration = Duration::from_secs(150);

/// For how long a pod and all its containers have to be settled before an id that none of them has is the sandbox's.
const SETTLED: Duration = Duration::from_secs(10);

/// The same where containers are still to come, because an image is pulled or an init container runs: a sandbox is the first
/// that a pod has, but a kubelet may be late to report what came after it. Shorter than a name is waited for.
const COMING: Duration = Duration::from_secs(30);

/// The same where the pod has a sandbox already: it may have been made anew.
const SECOND: Duration = Duration::from_secs(60);

/// For how long a pod of this machine may be unknown before it is taken for a pod of another node's: longer than a source
/// takes to tell of a new one.
const STRANGE: Duration = Duration::from_secs(15);

/// How long after the first question a source that has to be asked is asked again for the same id; then twice as long, and
/// so on.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(64);

/// An id that a cgroup has and no pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Question {
    /// The container's id, or the pod's uid.
    pub(super) id: Arc<str>,
    /// Of a container: its pod's uid.
    pub(super) pod: Option<Arc<str>>,
}

#[derive(Debug)]
struct Held {
    known: Arc<Known>,
    /// When it last became different.
    changed: Moment,
    gone: Option<Moment>,
}

#[derive(Debug)]
struct Asked {
    pod: Option<Arc<str>>,
    since: Moment,
    last: Moment,
    /// When it is worth to ask a source for it.
    due: Moment,
    wait: Duration,
}

/// The cache.
#[derive(Debug, Default)]
pub(super) struct Cache {
    pods: BTreeMap<Arc<str>, Held>,
    /// The uids of the pods whose cgroups go by something else.
    hashes: BTreeMap<Arc<str>, Arc<str>>,
    asked: BTreeMap<Arc<str>, Asked>,
    changed: bool,
}

impl Cache {
    /// These are all the pods that there are.
    pub(super) fn replace(&mut self, pods: Vec<Pod>, now: Moment) {
        let present: BTreeSet<_> = pods.iter().map(|pod| Arc::clone(&pod.uid)).collect();
        pods.into_iter().for_each(|pod| self.put(pod, now));
        let absent: Vec<_> = self.pods.keys().filter(|uid| !present.contains(*uid)).cloned().collect();
        absent.iter().for_each(|uid| self.remove(uid, now));
    }

    /// A pod is there, and is so.
    pub(super) fn put(&mut self, mut pod: Pod, now: Moment) {
        let uid = Arc::clone(&pod.uid);
        let mut sandboxes = BTreeSet::new();
        if let Some(held) = self.pods.get(&uid) {
            pod.remember(&held.known.pod);
            if held.known.pod == pod && held.gone.is_none() {
                return;
            }
            sandboxes.clone_from(&held.known.sandboxes);
        }
        // What was taken for the sandbox, and is a container by now.
        pod.ids().for_each(|id| _ = sandboxes.remove(id));
        for hash in &pod.hashes {
            self.hashes.insert(Arc::clone(hash), Arc::clone(&uid));
        }
        let known = Arc::new(Known { pod, sandboxes });
        self.pods.insert(uid, Held { known, changed: now, gone: None });
        self.changed = true;
    }

    /// A pod is gone. What it used may still have to be named.
    pub(super) fn remove(&mut self, uid: &str, now: Moment) {
        if let Some(held) = self.pods.get_mut(uid).filter(|held| held.gone.is_none()) {
            held.gone = Some(now);
            self.changed = true;
        }
    }

    /// How many pods there are.
    pub(super) fn living(&self) -> usize {
        self.pods.values().filter(|held| held.gone.is_none()).count()
    }

    /// What the cgroups of the pods that there are may go by.
    pub(super) fn uids(&self) -> Vec<Vec<Arc<str>>> {
        let living = self.pods.values().filter(|held| held.gone.is_none()).map(|held| &held.known.pod);
        living.map(|pod| [&pod.uid].into_iter().chain(&pod.hashes).cloned().collect()).collect()
    }

    /// Somebody wants to know these.
    pub(super) fn ask(&mut self, questions: impl IntoIterator<Item = Question>, now: Moment) {
        for Question { id, pod } in questions {
            if let Some(asked) = self.asked.get_mut(&id) {
                asked.last = now;
            } else if self.asked.len() < MOST_ASKED {
                self.asked.insert(id, Asked { pod, since: now, last: now, due: now, wait: FIRST_WAIT });
            }
        }
    }

    /// Whether anybody waits for a name.
    pub(super) fn is_asked(&self) -> bool {
        !self.asked.is_empty()
    }

    /// Whether anybody waits for a name that a source should be asked for by now.
    pub(super) fn is_due(&self, now: Moment) -> bool {
        self.asked.values().any(|asked| now >= asked.due)
    }

    /// How many of the pods that are asked for have been unknown for long.
    pub(super) fn strangers(&self, now: Moment) -> usize {
        let long = self.asked.iter().filter(|(_, asked)| now.since(asked.since) >= STRANGE);
        let uids: BTreeSet<_> = long.map(|(id, asked)| asked.pod.as_ref().unwrap_or(id)).collect();
        uids.into_iter().filter(|uid| self.find(uid).is_none()).count()
    }

    /// A source has told all that it knows: it is not asked at once again for what it did not know.
    pub(super) fn answered(&mut self, now: Moment) {
        for asked in self.asked.values_mut().filter(|asked| now >= asked.due) {
            asked.due = now.after(asked.wait);
            asked.wait = (asked.wait * 2).min(LONGEST_WAIT);
        }
    }

    /// Puts sandboxes to their pods, and lets go of what nobody needs any more. A new table, where there is news.
    pub(super) fn review(&mut self, now: Moment) -> Option<Table> {
        self.asked.retain(|_, asked| now.since(asked.last) < ASKED);
        self.settle_sandboxes(now);
        let mut asked = std::mem::take(&mut self.asked);
        asked.retain(|id, asked| !self.knows(id, asked.pod.as_deref()));
        self.asked = asked;
        self.forget(now);
        std::mem::take(&mut self.changed).then(|| {
            // A pod that is gone yields its hash to the one that came after it.
            let of = |gone| self.pods.values().filter(move |held| held.gone.is_some() == gone);
            Table::new(of(true).chain(of(false)).map(|held| (&held.known, held.gone.is_none())))
        })
    }

    fn find(&self, uid: &str) -> Option<&Held> {
        self.pods.get(uid).or_else(|| self.pods.get(self.hashes.get(uid)?))
    }

    fn knows(&self, id: &str, pod: Option<&str>) -> bool {
        match pod {
            Some(uid) => self.find(uid).is_some_and(|held| held.known.has(id)),
            None => self.find(id).is_some(),
        }
    }

    /// No source tells a sandbox's id. But where the id of every container is known, there is nothing else that an unknown
    /// one in the same pod could be.
    fn settle_sandboxes(&mut self, now: Moment) {
        let mut unknown: BTreeMap<Arc<str>, Vec<(Arc<str>, Moment)>> = BTreeMap::new();
        for (id, asked) in &self.asked {
            let Some(held) = asked.pod.as_deref().and_then(|uid| self.find(uid)) else { continue };
            if !held.known.has(id) {
                let uid = Arc::clone(&held.known.pod.uid);
                unknown.entry(uid).or_default().push((Arc::clone(id), asked.since));
            }
        }
        for (uid, ids) in unknown {
            let Some(held) = self.pods.get_mut(&uid) else { continue };
            let pod = &held.known.pod;
            let over = held.gone.is_some() || pod.ended;
            let calm = |since: Moment| now.since(since.max(held.changed));
            let certain = match ids.as_slice() {
                _ if over => pod.accounted(),
                // It has one at a time: a second one may be a container whose kubelet is late.
                [(_, since)] if !held.known.sandboxes.is_empty() => pod.settled() && calm(*since) >= SECOND,
                [(_, since)] if pod.settled() => calm(*since) >= SETTLED,
                [(_, since)] => pod.reported() && calm(*since) >= COMING,
                _ => false,
            };
            if !certain {
                continue;
            }
            // Two containers that claim one id leave it to nobody.
            let claimed: BTreeSet<_> = pod.ids().collect();
            let own: Vec<_> = ids.into_iter().map(|(id, _)| id).filter(|id| !claimed.contains(id)).collect();
            if !own.is_empty() {
                Arc::make_mut(&mut held.known).sandboxes.extend(own);
                self.changed = true;
            }
        }
    }

    fn forget(&mut self, now: Moment) {
        let before = self.pods.len();
        self.pods.retain(|_, held| held.gone.is_none_or(|gone| now.since(gone) < REMEMBERED));
        let mut gone: Vec<_> =
            self.pods.iter().filter_map(|(uid, held)| Some((held.gone?, Arc::clone(uid)))).collect();
        if gone.len() > MOST_GONE {
            gone.sort_unstable();
            for (_, uid) in gone.drain(..gone.len() - MOST_GONE) {
                self.pods.remove(&uid);
            }
        }
        if self.pods.len() < before {
            let pods = &self.pods;
            self.hashes.retain(|_, uid| pods.contains_key(uid));
            self.changed = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::object;
    use super::super::pod::AllowList;
    use super::*;
    use noether_core::workload::{Identity, Info, Key, Workload};

    const UID: &str = "0f5ea4c6-1b2c-4d3e-8f90-000000000abc";

    fn at(seconds: u64) -> Moment {
        Moment::from_boot(Duration::from_secs(1000 + seconds))
    }

    /// A pod of one container; `id` is empty before that starts.
    fn object(uid: &str, name: &str, id: &str, phase: &str) -> object::Pod {
        let state =
            object::State { running: (phase == "Running").then_some(object::Running {}), terminated: None };
        object::Pod {
            metadata: Some(object::Metadata {
                uid: uid.into(),
                namespace: "shop".into(),
                name: name.into(),
                ..object::Metadata::default()
            }),
            spec: Some(object::Spec {
                containers: vec![object::Container { name: "app".into(), image: "i".into() }],
                ..object::Spec::default()
            }),
            status: Some(object::Status {
                phase: phase.into(),
                container_statuses: vec![object::ContainerStatus {
                    name: "app".into(),
                    container_id: id.into(),
                    state: Some(state),
                    ..object::ContainerStatus::default()
                }],
                ..object::Status::default()
            }),
        }
    }

    fn pod(uid: &str, name: &str, id: &str, phase: &str) -> Pod {
        Pod::new(object(uid, name, id, phase), &AllowList::default(), &mut vec![]).unwrap()
    }

    fn container(id: &str, pod: Option<&str>) -> Workload {
        Workload::Container { id: id.into(), runtime: "containerd", pod: pod.map(Arc::from) }
    }

    fn question(id: &str, pod: &str) -> Question {
        Question { id: id.into(), pod: Some(pod.into()) }
    }

    fn key(table: &Table, workload: &Workload) -> Option<Key> {
        match table.identify(workload)? {
            Identity::Known(key, _) => Some(key),
            other => panic!("{other:?}"),
        }
    }

    fn info(table: &Table, workload: &Workload) -> Info {
        match table.identify(workload) {
            Some(Identity::Known(_, info)) => info,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_name_comes_with_its_pod_and_stays_after_it() {
        let mut cache = Cache::default();
        cache.replace(vec![pod(UID, "web", "x://aa", "Running")], at(0));
        let table = cache.review(at(0)).unwrap();
        let own = Workload::Pod { uid: UID.into(), qos: "Burstable" };
        assert_eq!(key(&table, &container("aa", Some(UID))), Some(Key::container("shop", "web", "app")));
        assert_eq!(key(&table, &container("aa", None)), Some(Key::container("shop", "web", "app")));
        assert_eq!(key(&table, &container("aa", Some("another"))), None, "the path counts more");
        assert_eq!(key(&table, &container("bb", Some(UID))), None);
        assert_eq!(key(&table, &own), Some(Key::container("shop", "web", "POD")));
        assert!(
            info(&table, &own).contains(&("qos", "Burstable".into())),
            "from the path, for want of a status"
        );
        assert!(info(&table, &container("aa", None)).contains(&("image", "i".into())));
        assert!(cache.review(at(1)).is_none(), "nothing new");

        cache.replace(vec![], at(2));
        assert_eq!(cache.living(), 0);
        assert!(key(&cache.review(at(2)).unwrap(), &container("aa", Some(UID))).is_some());
        assert!(key(&cache.review(at(302)).unwrap(), &container("aa", Some(UID))).is_none());
    }

    #[test]
    fn one_id_twice_is_nobodys() {
        let mut cache = Cache::default();
        cache.replace(vec![pod("a", "web", "x://aa", "Running"), pod("b", "db", "x://aa", "Running")], at(0));
        let table = cache.review(at(0)).unwrap();
        assert_eq!(key(&table, &container("aa", None)), None);
        assert_eq!(key(&table, &container("aa", Some("b"))), Some(Key::container("shop", "db", "app")));

        let mut twice = object("a", "web", "x://aa", "Running");
        let statuses = &mut twice.status.as_mut().unwrap().container_statuses;
        let other = object::ContainerStatus { name: "other".into(), ..statuses[0].clone() };
        statuses.push(other);
        cache.put(Pod::new(twice, &AllowList::default(), &mut vec![]).unwrap(), at(1));
        cache.ask([question("aa", "a")], at(1));
        cache.review(at(1));
        cache.remove("a", at(2));
        let table = cache.review(at(30)).unwrap();
        assert_eq!(key(&table, &container("aa", Some("a"))), None, "not even the sandbox's");
    }

    #[test]
    fn the_id_that_is_left_is_the_sandbox() {
        let mut cache = Cache::default();
        cache.put(pod(UID, "web", "", "Pending"), at(0));
        cache.ask([question("5a", UID), question("aa", UID)], at(0));
        cache.review(at(0));
        assert!(cache.review(at(60)).is_none(), "nobody can tell which is which");
        cache.ask([question("5a", UID), question("aa", UID)], at(60));
        cache.put(pod(UID, "web", "x://aa", "Running"), at(61));
        let table = cache.review(at(61)).unwrap();
        assert!(key(&table, &container("aa", Some(UID))).is_some());
        assert_eq!(key(&table, &container("5a", Some(UID))), None, "not before it is calm");
        let table = cache.review(at(71)).unwrap();
        assert_eq!(key(&table, &container("5a", Some(UID))), Some(Key::container("shop", "web", "POD")));
        assert!(!cache.is_asked());
        cache.ask([question("dd", UID)], at(72));
        assert!(cache.review(at(90)).is_none(), "one sandbox is enough");
        cache.asked.clear();
        // A container that starts anew is not taken for it.
        cache.ask([question("bb", UID)], at(80));
        assert!(cache.review(at(80)).is_none());
        cache.put(pod(UID, "web", "x://bb", "Running"), at(85));
        assert!(key(&cache.review(at(85)).unwrap(), &container("bb", Some(UID))).is_some());
        assert!(key(&cache.review(at(600)).unwrap_or_default(), &container("cc", Some(UID))).is_none());
    }

    /// An image that takes long to pull, and an init container that takes long to run: the sandbox is there before either.
    #[test]
    fn the_sandbox_of_a_pod_that_takes_long_to_start_is_its_pods() {
        let own = Some(Key::container("shop", "web", "POD"));
        for init in [false, true] {
            let mut cache = Cache::default();
            let mut pending = object(UID, "web", "", "Pending");
            if init {
                let status = object::ContainerStatus {
                    name: "setup".into(),
                    container_id: "x://bb".into(),
                    state: Some(object::State { running: Some(object::Running {}), terminated: None }),
                    ..object::ContainerStatus::default()
                };
                pending.status.as_mut().unwrap().init_container_statuses.push(status);
            }
            cache.put(Pod::new(pending, &AllowList::default(), &mut vec![]).unwrap(), at(0));
            cache.ask([question("5a", UID)], at(0));
            let table = cache.review(at(29)).unwrap();
            assert_eq!(
                key(&table, &container("5a", Some(UID))),
                None,
                "it may be a container, not yet reported"
            );
            let table = cache.review(at(30)).unwrap();
            assert_eq!(key(&table, &container("5a", Some(UID))), own, "init: {init}");
            assert!(!cache.is_asked());
            // The container comes after all, and is not taken for another sandbox.
            cache.ask([question("aa", UID)], at(75));
            assert!(cache.review(at(76)).is_none());
            cache.put(pod(UID, "web", "x://aa", "Running"), at(77));
            let table = cache.review(at(77)).unwrap();
            assert!(key(&table, &container("aa", Some(UID))) != own);
            assert_eq!(key(&table, &container("5a", Some(UID))), own);
        }
    }

    #[test]
    fn what_was_taken_for_the_sandbox_may_turn_out_to_be_a_container() {
        let mut cache = Cache::default();
        cache.put(pod(UID, "web", "", "Pending"), at(0));
        cache.ask([question("aa", UID)], at(0));
        let table = cache.review(at(30)).unwrap();
        assert_eq!(key(&table, &container("aa", Some(UID))), Some(Key::container("shop", "web", "POD")));
        cache.put(pod(UID, "web", "x://aa", "Running"), at(40));
        cache.ask([question("5a", UID)], at(40));
        let table = cache.review(at(50)).unwrap();
        assert_eq!(key(&table, &container("aa", Some(UID))), Some(Key::container("shop", "web", "app")));
        assert_eq!(key(&table, &container("5a", Some(UID))), Some(Key::container("shop", "web", "POD")));
        // A sandbox that is made anew is told from a container only by how long nobody has reported it.
        cache.ask([question("5b", UID)], at(100));
        assert!(cache.review(at(159)).is_none());
        let table = cache.review(at(160)).unwrap();
        assert_eq!(key(&table, &container("5b", Some(UID))), Some(Key::container("shop", "web", "POD")));
    }

    #[test]
    fn a_pod_of_which_nothing_is_reported_has_no_sandbox_to_be_found() {
        let mut cache = Cache::default();
        let silent = object::Pod { status: None, ..object(UID, "web", "", "Pending") };
        cache.put(Pod::new(silent, &AllowList::default(), &mut vec![]).unwrap(), at(0));
        cache.ask([question("5a", UID)], at(0));
        assert_eq!(key(&cache.review(at(120)).unwrap(), &container("5a", Some(UID))), None);
    }

    #[test]
    fn pods_that_nobody_knows_for_long_are_another_nodes() {
        let mut cache = Cache::default();
        cache.put(pod("elsewhere", "web", "x://bb", "Running"), at(0));
        cache.ask([question("aa", UID), Question { id: UID.into(), pod: None }], at(0));
        assert_eq!((cache.strangers(at(14)), cache.strangers(at(15))), (0, 1));
        cache.put(pod(UID, "web", "", "Running"), at(16));
        assert_eq!(cache.strangers(at(16)), 0);
    }

    #[test]
    fn what_is_left_in_a_pod_that_ended_is_its_sandbox_at_once() {
        let mut cache = Cache::default();
        cache.ask([question("5a", UID)], at(0));
        cache.put(pod(UID, "job", "x://aa", "Succeeded"), at(1));
        let table = cache.review(at(1)).unwrap();
        assert_eq!(key(&table, &container("5a", Some(UID))), Some(Key::container("shop", "job", "POD")));
        // But not where a container may have run under an id that nobody told.
        cache.ask([question("5b", "u")], at(2));
        cache.put(pod("u", "job", "", "Failed"), at(2));
        assert_eq!(key(&cache.review(at(3)).unwrap(), &container("5b", Some("u"))), None);
    }

    #[test]
    fn an_unknown_id_is_asked_for_ever_more_seldom() {
        let mut cache = Cache::default();
        assert!(!cache.is_due(at(0)));
        let mut asked = vec![];
        for second in 0..64 {
            cache.ask([question("aa", UID)], at(second));
            if cache.is_due(at(second)) {
                asked.push(second);
                cache.answered(at(second));
            }
            cache.review(at(second));
        }
        assert_eq!(asked, [0, 1, 3, 7, 15, 31, 63]);
        assert!(cache.is_asked());
        cache.review(at(64 + 150));
        assert!(!cache.is_asked(), "nobody wants to know any more");
    }

    #[test]
    fn a_static_pod_is_found_by_its_hash() {
        let mut object = object("real", "etcd-node-1", "x://aa", "Running");
        let annotations = &mut object.metadata.as_mut().unwrap().annotations;
        annotations.insert("kubernetes.io/config.mirror".into(), "hash".into());
        let mut cache = Cache::default();
        cache.put(Pod::new(object, &AllowList::default(), &mut vec![]).unwrap(), at(0));
        cache.ask([question("5a", "hash"), Question { id: "hash".into(), pod: None }], at(0));
        let table = cache.review(at(0)).unwrap();
        assert!(key(&table, &container("aa", Some("hash"))).is_some());
        assert_eq!(cache.asked.len(), 1, "the pod itself is known");
        let table = cache.review(at(10)).unwrap();
        assert!(key(&table, &container("5a", Some("hash"))).is_some());
    }
}
