//! By what a look is split, case by case.

use super::*;
use crate::reading::{Component, Place, Quality, Role};
use crate::units::Energy;
use alloc::string::{String, ToString};
use alloc::vec;
use proptest::prelude::*;

fn device() -> Arc<Device> {
    let domain = Domain {
        meter: "nvml",
        name: "gpu-0".into(),
        component: Component::Gpu,
        role: Role::Part,
        place: Place::default(),
        quality: Quality::Measured,
        max_power: None,
        may_mirror: false,
        generation: 0,
    };
    let text = || Arc::from("");
    Arc::new(Device {
        domain: Arc::new(domain),
        gpu: "0".into(),
        index: 0,
        uuid: text(),
        model: text(),
        driver: text(),
        pci: "0000:3b:00.0".into(),
        minor: Some(4),
    })
}

fn look(slices: u32, instances: Vec<Instance>) -> Look {
    Look {
        device: device(),
        at: Moment::default(),
        time: Duration::from_secs(1),
        gauges: Gauges::default(),
        slices,
        instances,
        clock: Clock::Sm,
    }
}

#[test]
fn a_power_is_shown_as_coarsely_as_energy_and_its_limit_as_it_is() {
    let exact = Some(Power::from_watts(287.654));
    let gauges = Gauges { power: exact, average_power: exact, power_limit: exact, ..Gauges::default() };
    let look = Arc::new(Look { gauges, ..look(0, vec![]) });
    assert!(Arc::ptr_eq(&look, &look.shown(Granularity::FINEST)));
    let coarse = look.shown(Granularity::new(Energy::from_joules(0.1)).unwrap()).gauges;
    let rounded = Some(Power::from_watts(287.0));
    assert_eq!((coarse.power, coarse.average_power, coarse.power_limit), (rounded, rounded, exact));
}

fn unit(name: &str) -> Arc<Workload> {
    Arc::new(Workload::Unit { name: name.into() })
}

fn process(owner: &str, time: Option<u64>, memory: Option<u64>) -> Process {
    Process { owner: (!owner.is_empty()).then(|| unit(owner)), time, memory, ..Process::default() }
}

fn whole(processes: Vec<Process>) -> Look {
    look(0, vec![Instance { slices: 1, processes, ..Instance::default() }])
}

fn part(slices: u32, utilisation: Option<f64>, processes: Vec<Process>) -> Instance {
    Instance { slices, utilisation, processes, ..Instance::default() }
}

fn held(device: Name, holder: &str) -> Holding {
    said(device, holder, Authority::Kubelet)
}

fn said(device: Name, holder: &str, by: Authority) -> Holding {
    Holding { device, holder: unit(holder), by }
}

/// Each one's part in thousandths, nobody's as `-`.
fn thousandths(shares: &[(Option<&Workload>, u64)]) -> Vec<(String, u64)> {
    let sum: u64 = shares.iter().map(|(_, weight)| weight).sum();
    let name = |owner: Option<&Workload>| match owner {
        Some(Workload::Unit { name }) => name.to_string(),
        _ => "-".to_string(),
    };
    let thousand = |weight: u64| (weight as f64 / sum as f64 * 1000.0 + 0.5) as u64;
    let paying = shares.iter().filter(|(_, weight)| *weight > 0);
    paying.map(|(owner, weight)| (name(*owner), thousand(*weight))).collect()
}

fn used(look: &Look, holdings: &[Holding]) -> (Method, Vec<(String, u64)>) {
    let (method, shares) = look.shares(holdings);
    (method, thousandths(&shares.used))
}

fn parts(expected: &[(&str, u64)]) -> Vec<(String, u64)> {
    expected.iter().map(|(name, part)| ((*name).to_string(), *part)).collect()
}

#[test]
fn by_time_whatever_memory_is_held() {
    let processes = vec![
        process("a", Some(750), Some(1)),
        process("b", Some(200), Some(999)),
        process("", Some(50), None),
    ];
    let expected = parts(&[("a", 750), ("b", 200), ("-", 50)]);
    assert_eq!(used(&whole(processes), &[held(Name::All, "c")]), (Method::SmTime, expected));
}

#[test]
fn by_memory_without_times_and_equally_without_memory() {
    let processes = |memory| vec![process("a", None, memory), process("b", None, memory.map(|m| 3 * m))];
    assert_eq!(used(&whole(processes(Some(1))), &[]), (Method::Memory, parts(&[("a", 250), ("b", 750)])));
    assert_eq!(used(&whole(processes(None)), &[]), (Method::Equal, parts(&[("a", 500), ("b", 500)])));
}

#[test]
fn nobody_worked() {
    let idle = vec![process("a", Some(0), Some(5))];
    let look = whole(idle.clone());
    let holdings = [held(Name::Index(0), "b"), held(Name::All, "c"), held(Name::Index(1), "d")];
    let (method, shares) = look.shares(&holdings);
    assert_eq!((method, shares.used.iter().all(|(_, weight)| *weight == 0)), (Method::Holder, true));
    assert_eq!(thousandths(&shares.held), parts(&[("b", 500), ("c", 500)]));
    assert_eq!(whole(idle.clone()).shares(&[]).0, Method::Nobody);
    assert_eq!(whole(vec![]).shares(&[]).0, Method::Nobody);
    // The device was busy all the same: the samples are wrong.
    let mut busy = whole(idle);
    busy.gauges.utilisation = Some(0.5);
    assert_eq!(used(&busy, &[]), (Method::Memory, parts(&[("a", 1000)])));
}

#[test]
fn instances_by_slices_where_no_utilisation_is_known() {
    let instances = vec![
        part(3, None, vec![process("a", None, Some(1)), process("b", None, Some(2))]),
        part(2, None, vec![]),
        part(1, None, vec![]),
    ];
    let look = look(7, instances);
    let holdings = [held(Name::Instance(0, 1), "c")];
    // Of seven slices a and b use three, c holds two, and two are nobody's.
    let expected = parts(&[("a", 143), ("b", 286), ("c", 286), ("-", 143), ("-", 143)]);
    assert_eq!(used(&look, &holdings), (Method::MigSlices, expected));
    // Nobody is known to give slices away, so none is known to be free.
    assert_eq!(used(&look, &[]), (Method::MigSlices, parts(&[("a", 333), ("b", 667)])));
    let (_, shares) = look.shares(&holdings);
    assert_eq!(thousandths(&shares.held), parts(&[("-", 429), ("c", 286), ("-", 143), ("-", 143)]));
}

#[test]
fn instances_by_slices_and_utilisation_where_it_is_known() {
    let one = || vec![process("a", None, None)];
    let two = || vec![process("b", None, None)];
    let known = look(7, vec![part(1, Some(0.9), one()), part(3, Some(0.1), two())]);
    assert_eq!(used(&known, &[]), (Method::MigUtilisation, parts(&[("a", 750), ("b", 250)])));
    // .9 of one slice and .1 of three, of seven.
    assert_eq!(known.utilisation().map(|busy| (busy * 7.0 * 10.0) as u64), Some(12));
    let lacking = look(7, vec![part(1, Some(0.9), one()), part(3, None, two())]);
    assert_eq!(used(&lacking, &[]), (Method::MigSlices, parts(&[("a", 250), ("b", 750)])));
    let idle = look(7, vec![part(1, Some(0.0), one())]);
    assert_eq!(idle.shares(&[]).0, Method::Nobody);
}

/// Four slices of which two are held, idle with and without processes, with and without their utilisation.
#[test]
fn free_slices_of_an_idle_device_are_nobodys() {
    let a = || vec![process("a", None, Some(1))];
    let b = || vec![process("b", None, Some(9))];
    let idle = |utilisation, processes: [Vec<Process>; 2]| {
        let [one, two] = processes.map(|processes| part(1, utilisation, processes));
        look(4, vec![one, two, part(1, None, vec![]), part(1, None, vec![])])
    };
    let holdings = [held(Name::Instance(0, 0), "a"), held(Name::Instance(0, 1), "b")];
    for utilisation in [None, Some(0.0)] {
        for processes in [[vec![], vec![]], [a(), vec![]], [vec![], b()], [a(), b()]] {
            let look = idle(utilisation, processes);
            let (method, shares) = look.shares(&holdings);
            let unused = shares.used.iter().all(|(_, weight)| *weight == 0);
            let paying = thousandths(if unused { &shares.held } else { &shares.used });
            let of = |who: &str| paying.iter().filter(|(name, _)| name == who).map(|(_, part)| part).sum();
            let sums: [u64; 3] = ["a", "b", "-"].map(of);
            assert_eq!(sums, [250, 250, 500], "{method:?} {utilisation:?}");
        }
    }
}

#[test]
fn a_device_whose_encoder_works_is_not_idle() {
    let mut look = whole(vec![process("a", Some(0), Some(1))]);
    look.gauges = Gauges { utilisation: Some(0.0), engines: Some(0.6), ..Gauges::default() };
    assert_eq!(look.utilisation(), Some(0.6));
    // The samples say that nobody worked, and something did: they are wrong.
    assert_eq!(used(&look, &[]).0, Method::Memory);
}

#[test]
fn a_device_in_instances_without_a_process_is_idle() {
    assert_eq!(look(7, vec![part(3, None, vec![]), part(4, None, vec![])]).utilisation(), Some(0.0));
    assert_eq!(look(7, vec![part(3, None, vec![process("a", None, None)])]).utilisation(), None);
}

#[test]
fn several_looks_count_by_time_and_by_how_busy_the_device_was() {
    let at = |owner: &str, busy: f64, seconds| {
        let mut look = whole(vec![process(owner, Some(1), None)]);
        look.gauges.utilisation = Some(busy);
        look.time = Duration::from_secs(seconds);
        look
    };
    let names = ["a", "b"].map(unit);
    let find = |workload: &Workload| names.iter().position(|name| **name == *workload);
    let mut devices = Devices::default();
    let looks = [at("a", 1.0, 3), at("b", 0.5, 2)].map(Arc::new);
    devices.take(&looks, &[], find);
    let mut weights = Vec::new();
    assert!(devices.claims(&device().domain).is_some_and(|claims| claims.used(2, &mut weights)));
    assert_eq!(weights[0] / 3, weights[1]);
    assert_eq!(weights[2], 0);
    let utilisation = |devices: &Devices| devices.claims(&device().domain).and_then(Claims::utilisation);
    assert_eq!(utilisation(&devices), Some(0.8));
    devices.clear(&device().domain);
    assert_eq!(utilisation(&devices), None);
}

#[test]
fn a_device_goes_by_many_names() {
    let of = |look: &Look, device: Name| thousandths(&look.shares(&[held(device, "a")]).1.held);
    let (whole, all) = (whole(vec![]), parts(&[("a", 1000)]));
    for device in [Name::Minor(4), Name::File(4), Name::Pci("0000:3b:00.0".into()), Name::Card("0".into())] {
        assert_eq!(of(&whole, device), all);
    }
    for device in
        [Name::Minor(0), Name::Pci("".into()), Name::Uuid("x".into()), Name::Profile(4, "1g".into())]
    {
        assert_eq!(of(&whole, device.clone()), parts(&[("-", 1000)]), "{device:?}");
    }
    let named = |slices, profile: &str| Instance { profile: profile.into(), ..part(slices, None, vec![]) };
    let cut =
        look(7, vec![named(1, "1g.5gb"), named(1, "1g.10gb"), named(2, "2g.10gb"), named(3, "3g.20gb")]);
    assert_eq!(
        of(&cut, Name::Profile(4, "1g5gb".into())),
        parts(&[("a", 143), ("-", 143), ("-", 286), ("-", 429)])
    );
    let both = parts(&[("a", 143), ("a", 143), ("-", 286), ("-", 429)]);
    assert_eq!(of(&cut, Name::Profile(4, "1g".into())), both);
    // An instance with the media engines is of another profile than one without.
    let cut = look(
        7,
        vec![named(1, "1g.10gb"), named(1, "1g.10gb+me"), named(2, "2g.20gb"), named(1, "1g.10gb+gfx")],
    );
    for (profile, place) in [("1g10gb", 0), ("1g10gb-me", 1), ("1g", 0), ("1g-me", 1), ("1g10gb-gfx", 3)] {
        let held = cut.instances.iter().enumerate();
        let held: Vec<_> =
            held.filter(|(at, one)| Name::Profile(4, profile.into()).covers(&cut, *at, one)).collect();
        assert_eq!(held.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [place], "{profile}");
    }
    let mut card = whole;
    card.device = Arc::new(Device { minor: None, index: 2, ..(*card.device).clone() });
    for (number, expected) in [(2, "a"), (130, "a"), (4, "-"), (0, "-"), (128, "-")] {
        assert_eq!(of(&card, Name::File(number)), parts(&[(expected, 1000)]), "{number}");
    }
    // Its file is open to whoever has any of its instances.
    assert!(cut.is_named(&Name::Profile(4, "1g-me".into())) && !cut.is_named(&Name::Profile(4, "3g".into())));
    assert!(of(&cut, Name::Minor(4)).iter().all(|(name, _)| name == "-"));
}

#[test]
fn the_nearest_authority_counts_for_each_device_and_a_share_as_often_as_it_is_held() {
    let holdings = [
        said(Name::All, "image", Authority::Environment),
        said(Name::Index(0), "job", Authority::Slurm),
        said(Name::Minor(4), "twice", Authority::Kubelet),
        said(Name::Minor(4), "twice", Authority::Kubelet),
        said(Name::Index(0), "once", Authority::Kubelet),
    ];
    let shares = |holdings| {
        let mut sums = std::collections::BTreeMap::new();
        for (name, part) in thousandths(&whole(vec![]).shares(holdings).1.held) {
            *sums.entry(name).or_insert(0) += part;
        }
        sums.into_iter().collect::<Vec<_>>()
    };
    assert_eq!(shares(&holdings), parts(&[("once", 333), ("twice", 666)]));
    assert_eq!(shares(&holdings[..2]), parts(&[("job", 1000)]));
    assert_eq!(shares(&holdings[..1]), parts(&[("image", 1000)]));
    // An instance that nobody nearer speaks of goes by who does.
    let cut = look(7, vec![part(3, None, vec![]), part(4, None, vec![])]);
    let holdings = [
        said(Name::All, "image", Authority::Environment),
        said(Name::Instance(0, 1), "a", Authority::Kubelet),
    ];
    assert_eq!(thousandths(&cut.shares(&holdings).1.held), parts(&[("image", 429), ("a", 571)]));
}

/// Engine times of which some are not reported, with so much busy time that they do not explain, in ms.
fn engines(unexplained: u64, busy: Option<f64>, processes: Vec<Process>) -> Look {
    let mut look = whole(processes);
    look.clock = Clock::Engines;
    look.gauges.utilisation = busy;
    look.instances[0].unexplained = unexplained * 1000;
    look
}

fn unseen(owner: &str, time: Option<u64>, memory: u64) -> Process {
    Process { unreported: UnreportedWork::Possible, ..process(owner, time, Some(memory)) }
}

/// A time that is not reported is not 0: the busy time that nobody reports is theirs of whom no time is reported.
#[test]
fn unexplained_busy_time_is_theirs_who_report_none() {
    let compositor = || process("compositor", Some(5_000), Some(100));
    let rocm = unseen("rocm", None, 12 << 30);
    let shares = used(&engines(995, Some(1.0), vec![compositor(), rocm.clone()]), &[]);
    assert_eq!(shares, (Method::Memory, parts(&[("compositor", 5), ("rocm", 995)])));
    // It computes little beside a game: by the engines' time mostly.
    let game = || process("game", Some(800_000), Some(1));
    let shares = used(&engines(200, Some(1.0), vec![game(), rocm.clone()]), &[]);
    assert_eq!(shares, (Method::EngineTime, parts(&[("game", 800), ("rocm", 200)])));
    // All explained: nothing is left for who holds memory.
    let shares = used(&engines(0, Some(0.8), vec![game(), rocm.clone()]), &[]);
    assert_eq!(shares, (Method::EngineTime, parts(&[("game", 1000)])));
    // Nothing is seen of anybody's work: the device is theirs who work unseen.
    let idle = process("game", Some(0), Some(1 << 30));
    assert_eq!(
        used(&engines(0, Some(0.0), vec![idle, rocm]), &[]),
        (Method::Memory, parts(&[("rocm", 1000)]))
    );
}

/// One of two decodes a video, which is reported: what both compute is not.
#[test]
fn who_reports_some_of_his_work_may_do_more() {
    let one = unseen("one", None, 30);
    let decoding = unseen("decoding", Some(100_000), 10);
    let shares = used(&engines(900, Some(0.9), vec![one, decoding]), &[]);
    assert_eq!(shares, (Method::Memory, parts(&[("one", 675), ("decoding", 325)])));
}

#[test]
fn occupied_compute_units_are_nearer_than_memory() {
    let computing = |owner, units| Process {
        unreported: UnreportedWork::Occupies(units),
        ..process(owner, None, Some(1000))
    };
    let look = engines(1000, None, vec![computing("a", 90), computing("b", 30), unseen("c", None, 1 << 40)]);
    assert_eq!(used(&look, &[]), (Method::ComputeUnits, parts(&[("a", 750), ("b", 250)])));
    // None is seen on the units at this moment.
    let look = engines(1000, None, vec![computing("a", 0), unseen("c", None, 3000)]);
    assert_eq!(used(&look, &[]), (Method::Memory, parts(&[("a", 250), ("c", 750)])));
    let blind = Process { unreported: UnreportedWork::Possible, ..process("a", None, None) };
    assert_eq!(used(&engines(0, None, vec![blind]), &[]), (Method::Equal, parts(&[("a", 1000)])));
}

#[test]
fn engine_times_of_zero_on_a_busy_device_are_wrong() {
    let idle = || vec![process("a", Some(0), Some(3)), process("b", None, Some(1))];
    assert_eq!(engines(0, Some(0.0), idle()).shares(&[]).0, Method::Nobody);
    let shares = used(&engines(500, Some(0.5), idle()), &[]);
    assert_eq!(shares, (Method::Memory, parts(&[("a", 750), ("b", 250)])));
}

/// Two dies under one meter: who works on the second pays, though the meter is the first's.
#[test]
fn dies_of_one_package_share_its_meter() {
    let die = |gpu: &str, owner: &str, time, busy| {
        let mut look = engines(0, Some(busy), vec![process(owner, Some(time), None)]);
        look.device = Arc::new(Device { gpu: gpu.into(), ..(*look.device).clone() });
        Arc::new(look)
    };
    let names = ["a", "b"].map(unit);
    let find = |workload: &Workload| names.iter().position(|name| **name == *workload);
    let mut devices = Devices::default();
    let mut weights = Vec::new();
    devices.take(&[die("card0", "a", 0, 0.0), die("card1", "b", 900_000, 1.0)], &[], find);
    assert!(devices.claims(&device().domain).is_some_and(|claims| claims.used(2, &mut weights)));
    assert_eq!((weights[0], weights[1] > 0, weights[2]), (0, true, 0));
    assert_eq!(devices.claims(&device().domain).and_then(Claims::utilisation), Some(0.5));
    assert_eq!(devices.newest().count(), 2);
    devices.clear(&device().domain);
    devices.take(&[die("card0", "a", 300_000, 0.3), die("card1", "b", 900_000, 0.9)], &[], find);
    assert!(devices.claims(&device().domain).is_some_and(|claims| claims.used(2, &mut weights)));
    assert_eq!(weights[0], weights[1] / 3);
    assert_eq!(devices.newest().count(), 2);
}

fn any_process() -> impl Strategy<Value = Process> {
    (0..4_u8, any::<Option<u64>>(), any::<Option<u64>>(), 0..3_u8, any::<u32>()).prop_map(
        |(owner, time, memory, kind, units)| Process {
            unreported: match kind {
                0 => UnreportedWork::No,
                1 => UnreportedWork::Possible,
                _ => UnreportedWork::Occupies(units),
            },
            ..process(["", "a", "b", "c"][usize::from(owner)], time, memory)
        },
    )
}

fn any_instance() -> impl Strategy<Value = Instance> {
    let processes = prop::collection::vec(any_process(), 0..4);
    (any::<u32>(), prop::option::of(any::<f64>()), processes, any::<u64>()).prop_map(
        |(slices, utilisation, processes, unexplained)| Instance {
            unexplained,
            ..part(slices, utilisation, processes)
        },
    )
}

proptest! {
    /// Whatever a device says: no overflow, and only those who are named get anything.
    #[test]
    fn any_look_is_shared(
        slices in prop_oneof![Just(0), any::<u32>()],
        instances in prop::collection::vec(any_instance(), 0..5),
        seconds in any::<u64>(),
        busy in prop::option::of(any::<f64>()),
        engines in any::<bool>(),
        holders in prop::collection::vec((0..3_u32, 0..4_u32), 0..4),
    ) {
        let mut look = look(slices, instances);
        look.time = Duration::from_secs(seconds);
        look.gauges.utilisation = busy;
        look.clock = if engines { Clock::Engines } else { Clock::Sm };
        let holdings: Vec<_> =
            holders.iter().map(|(gpu, place)| held(Name::Instance(*gpu, *place), "h")).collect();
        let (method, shares) = look.shares(&holdings);
        let used: u128 = shares.used.iter().map(|(_, weight)| u128::from(*weight)).sum();
        prop_assert_eq!(used == 0, matches!(method, Method::Holder | Method::Nobody));
        prop_assert!(holdings.is_empty() || shares.held.len() >= look.instances.len());
    }
}
