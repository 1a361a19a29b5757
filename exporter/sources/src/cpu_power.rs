//! What a processor draws, idle and at full load, by a shipped table: `data/cpu_power.csv`.
//!
//! Each row names its source; `data/extract_cpu_power.py` makes the file. In this order:
//!
//! 1. **Family**: watts per logical processor of the server microarchitecture, told by vendor, family, model and stepping
//!    numbers, since hypervisors shorten names.
//! 2. **Design power** of the model, by its name. At full load that is the draw; idle is the same part of it as in the
//!    table's average row (0.74 of 3.5 W, 21 %). A guest is charged for its share of the chip's cores, where the name
//!    tells how many there are (`64-Core`): the numbers in the guest are those of the guest.
//! 3. **Kin**: the nearest microarchitecture that has a row, for newer or smaller ones that have none.
//! 4. **Average**: the table's average row, per logical processor.

use noether_core::units::Power;

use crate::cpuinfo::Processor;

const TABLE: &str = include_str!("../data/cpu_power.csv");

/// What a machine's processors are estimated to draw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Estimate {
    /// With nothing to do.
    pub idle: Power,
    /// With all processors busy.
    pub full: Power,
    /// Which row it comes from, and whose figures those are.
    pub basis: String,
}

/// Estimates `threads` logical processors like `cpu`.
pub fn estimate(cpu: &Processor, threads: u32) -> Estimate {
    let family = family(cpu);
    let own = family.filter(|family| family.own).and_then(|family| named(family.row));
    own.map(|row| per_thread(row, threads, ""))
        .or_else(|| by_design_power(cpu, threads))
        .or_else(|| {
            family.and_then(|family| named(family.row)).map(|row| per_thread(row, threads, &kin(cpu)))
        })
        .unwrap_or_else(|| average(cpu, threads))
}

fn per_thread(row: Row, threads: u32, note: &str) -> Estimate {
    let (idle, full, source) = (row.idle, row.full, row.source);
    let basis =
        format!("{}{note}: {idle} to {full} W per logical CPU, {threads} of them ({source})", row.name);
    let times = |watts: f64| Power::from_watts(watts * f64::from(threads));
    Estimate { idle: times(idle), full: times(full), basis }
}

fn kin(cpu: &Processor) -> String {
    format!(" (the nearest that has figures to {:?})", cpu.name)
}

fn average(cpu: &Processor, threads: u32) -> Estimate {
    match rows().find(|row| row.kind == "average") {
        Some(row) => per_thread(row, threads, &format!(" ({:?} is not in the table)", cpu.name)),
        None => Estimate { idle: Power::ZERO, full: Power::ZERO, basis: "no table".into() },
    }
}

fn by_design_power(cpu: &Processor, threads: u32) -> Option<Estimate> {
    let chip = cores_in(&cpu.name).or(cpu.cores.filter(|_| !cpu.is_virtual))?;
    let key = key(&cpu.name);
    let row = rows().find(|row| row.kind == "tdp" && self::key(row.name) == key)?;
    let average = rows().find(|row| row.kind == "average")?;
    let per_core = f64::from(cpu.siblings.unwrap_or(1)) / f64::from(cpu.cores.unwrap_or(1).max(1));
    let cores = f64::from(threads) / per_core.max(1.0);
    let full = row.tdp * cores / f64::from(chip.max(1));
    let part = average.idle / average.full;
    let (name, tdp, source) = (row.name, row.tdp, row.source);
    let basis = format!(
        "{name}: design power {tdp} W, {cores} cores of {chip} in a chip; {:.0} % of it idle ({source})",
        part * 100.0
    );
    Some(Estimate { idle: Power::from_watts(full * part), full: Power::from_watts(full), basis })
}

/// N of `N-Core` in a name.
fn cores_in(name: &str) -> Option<u32> {
    let mut words = name.split(' ').filter_map(|word| word.split_once("-Core"));
    words.find_map(|(number, _)| number.parse().ok())
}

/// A name without what differs between those who write it: marks, filler, frequency, graphics.
fn key(name: &str) -> String {
    let name = name.to_lowercase().replace("(tm)2", " 2");
    let name = ["(r)", "(tm)", "®", "™"].iter().fold(name, |name, mark| name.replace(mark, " "));
    // "@ 2.40GHz", "with Radeon Graphics", "w/ Radeon 780M", "(9M Cache, …)"
    let end = ["@", " with ", " w/", " (", ", "].iter().filter_map(|start| name.find(start)).min();
    let name = name.get(..end.unwrap_or(name.len())).unwrap_or(&name);
    let words = name.split_whitespace().filter(|word| !is_filler(word));
    let parts = words.flat_map(|word| word.split('-')).filter(|part| !part.is_empty());
    parts.collect::<Vec<_>>().join(" ")
}

fn is_filler(word: &str) -> bool {
    const FILLERS: [&str; 7] = ["amd", "intel", "cpu", "processor", "apu", "gen", "0"];
    let counted = word.starts_with(|c: char| c.is_ascii_digit()) && word.ends_with("th");
    FILLERS.contains(&word) || counted || word.ends_with("-core") || word.ends_with("-cores")
}

/// A row of the table.
#[derive(Clone, Copy, Debug)]
struct Row {
    name: &'static str,
    kind: &'static str,
    idle: f64,
    full: f64,
    tdp: f64,
    source: &'static str,
}

fn rows() -> impl Iterator<Item = Row> {
    TABLE.lines().skip(1).filter_map(row)
}

/// name, kind, idle watts per thread, full watts per thread, design power, source, year, licence. No field has a comma.
fn row(line: &'static str) -> Option<Row> {
    let mut fields = line.split(',');
    let (name, kind) = (fields.next()?, fields.next()?);
    let mut watts = || fields.next().map(|field| field.parse().unwrap_or(0.0));
    let (idle, full, tdp) = (watts()?, watts()?, watts()?);
    Some(Row { name, kind, idle, full, tdp, source: fields.next()? })
}

fn named(name: &str) -> Option<Row> {
    rows().find(|row| row.kind == "family" && row.name == name)
}

/// A microarchitecture: the numbers that tell it, and the row that stands for it.
struct Family {
    vendor: Vendor,
    /// First and last `model`; for ARM the `CPU part`.
    models: (u32, u32),
    /// First and last `stepping`.
    steppings: (u32, u32),
    row: &'static str,
    /// Whether the row is its own, or its kin's.
    own: bool,
}

#[derive(PartialEq)]
enum Vendor {
    /// Family 6.
    Intel,
    /// The family of a processor that calls itself EPYC; a Ryzen of the same family has its own design power.
    Epyc(u32),
    Hygon,
    /// Designed by ARM, whoever made it.
    Arm,
}

const ANY: (u32, u32) = (0, u32::MAX);

const fn own(vendor: Vendor, models: (u32, u32), steppings: (u32, u32), row: &'static str) -> Family {
    Family { vendor, models, steppings, row, own: true }
}

const fn near(vendor: Vendor, models: (u32, u32), row: &'static str) -> Family {
    Family { vendor, models, steppings: ANY, row, own: false }
}

/// Model numbers: <https://github.com/torvalds/linux/blob/master/arch/x86/include/asm/intel-family.h>, and for ARM
/// <https://github.com/torvalds/linux/blob/master/arch/arm64/include/asm/cputype.h>. The first that fits is taken.
const FAMILIES: &[Family] = &[
    own(Vendor::Intel, (0x2d, 0x2d), ANY, "Sandy Bridge"),
    own(Vendor::Intel, (0x3e, 0x3e), ANY, "Ivy Bridge"),
    own(Vendor::Intel, (0x3f, 0x3f), ANY, "Haswell"),
    own(Vendor::Intel, (0x4f, 0x4f), ANY, "Broadwell"),
    own(Vendor::Intel, (0x56, 0x56), ANY, "Broadwell"),
    own(Vendor::Intel, (0x55, 0x55), (0, 4), "Skylake"),
    own(Vendor::Intel, (0x55, 0x55), (5, 9), "Cascade Lake"),
    // Cooper Lake, Ice Lake, QEMU's number for Ice Lake, Sapphire, Emerald and Granite Rapids.
    near(Vendor::Intel, (0x55, 0x55), "Cascade Lake"),
    near(Vendor::Intel, (0x6a, 0x6c), "Cascade Lake"),
    near(Vendor::Intel, (0x86, 0x86), "Cascade Lake"),
    near(Vendor::Intel, (0x8f, 0x8f), "Cascade Lake"),
    near(Vendor::Intel, (0xcf, 0xcf), "Cascade Lake"),
    near(Vendor::Intel, (0xad, 0xae), "Cascade Lake"),
    // What is made for desks and laps has a design power of its own, unless a hypervisor hides its name.
    near(Vendor::Intel, (0x2a, 0x2a), "Sandy Bridge"),
    near(Vendor::Intel, (0x3a, 0x3a), "Ivy Bridge"),
    near(Vendor::Intel, (0x3c, 0x3c), "Haswell"),
    near(Vendor::Intel, (0x45, 0x46), "Haswell"),
    near(Vendor::Intel, (0x3d, 0x3d), "Broadwell"),
    near(Vendor::Intel, (0x47, 0x47), "Broadwell"),
    near(Vendor::Intel, (0x4e, 0x4e), "Skylake"),
    near(Vendor::Intel, (0x5e, 0x5e), "Skylake"),
    near(Vendor::Intel, (0x8e, 0x8e), "Coffee Lake"),
    near(Vendor::Intel, (0x9e, 0x9e), "Coffee Lake"),
    own(Vendor::Epyc(23), (0x00, 0x0f), ANY, "AMD EPYC 1st Gen"),
    own(Vendor::Epyc(23), (0x30, 0x3f), ANY, "AMD EPYC 2nd Gen"),
    own(Vendor::Epyc(25), (0x00, 0x0f), ANY, "AMD EPYC 3rd Gen"),
    // Genoa, then Bergamo and Siena, then Turin.
    near(Vendor::Epyc(25), (0x10, 0x1f), "AMD EPYC 3rd Gen"),
    near(Vendor::Epyc(25), (0xa0, 0xaf), "AMD EPYC 3rd Gen"),
    near(Vendor::Epyc(26), (0x00, 0x1f), "AMD EPYC 3rd Gen"),
    near(Vendor::Hygon, ANY, "AMD EPYC 1st Gen"),
    // Neoverse N1: Graviton2, Altra. Then V1 (Graviton3), N2, V2 (Graviton4, Grace), V3 and N3.
    own(Vendor::Arm, (0xd0c, 0xd0c), ANY, "AWS Graviton2"),
    near(Vendor::Arm, (0xd40, 0xd40), "AWS Graviton2"),
    near(Vendor::Arm, (0xd49, 0xd49), "AWS Graviton2"),
    near(Vendor::Arm, (0xd4f, 0xd4f), "AWS Graviton2"),
    near(Vendor::Arm, (0xd84, 0xd8e), "AWS Graviton2"),
];

fn family(cpu: &Processor) -> Option<&'static Family> {
    let (vendor, model) = match (&*cpu.vendor, cpu.family, cpu.arm) {
        ("GenuineIntel", Some(6), _) => (Vendor::Intel, cpu.model?),
        ("AuthenticAMD", Some(family), _) if cpu.name.contains("EPYC") => (Vendor::Epyc(family), cpu.model?),
        ("HygonGenuine", ..) => (Vendor::Hygon, cpu.model.unwrap_or(0)),
        (.., Some((0x41, part))) => (Vendor::Arm, part),
        _ => return None,
    };
    let within = |(first, last): (u32, u32), number| (first..=last).contains(&number);
    FAMILIES.iter().find(|family| {
        family.vendor == vendor
            && within(family.models, model)
            && within(family.steppings, cpu.stepping.unwrap_or(0))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn intel(model: u32, stepping: u32, name: &str) -> Processor {
        Processor {
            vendor: "GenuineIntel".into(),
            name: name.into(),
            family: Some(6),
            model: Some(model),
            stepping: Some(stepping),
            ..Processor::default()
        }
    }

    fn amd(family: u32, model: u32, name: &str) -> Processor {
        Processor { vendor: "AuthenticAMD".into(), family: Some(family), ..intel(model, 0, name) }
    }

    fn arm(part: u32) -> Processor {
        Processor { arm: Some((0x41, part)), ..Processor::default() }
    }

    fn with_cores(cores: u32, siblings: u32, cpu: Processor) -> Processor {
        Processor { cores: Some(cores), siblings: Some(siblings), ..cpu }
    }

    fn guest(cpu: Processor) -> Processor {
        Processor { is_virtual: true, ..with_cores(2, 4, cpu) }
    }

    /// Idle and full watts, and what the basis starts with.
    fn found(cpu: &Processor, threads: u32) -> (f64, f64, String) {
        let Estimate { idle, full, basis } = estimate(cpu, threads);
        (idle.watts(), full.watts(), basis)
    }

    #[test]
    fn servers_and_guests_by_their_numbers() {
        let rows = [
            (guest(amd(25, 1, "AMD EPYC")), 0.45, 2.02, "AMD EPYC 3rd Gen:"),
            (amd(25, 1, "AMD EPYC 7763 64-Core Processor"), 0.45, 2.02, "AMD EPYC 3rd Gen:"),
            (guest(amd(25, 1, "AMD EPYC-Milan Processor")), 0.45, 2.02, "AMD EPYC 3rd Gen:"),
            (amd(23, 49, "AMD EPYC 7R32"), 0.47, 1.69, "AMD EPYC 2nd Gen:"),
            (amd(23, 1, "AMD EPYC 7571"), 0.82, 2.55, "AMD EPYC 1st Gen:"),
            (intel(85, 4, "Intel Xeon Processor (Skylake, IBRS)"), 0.65, 4.26, "Skylake:"),
            (intel(85, 7, "Intel(R) Xeon(R) Platinum 8259CL CPU @ 2.50GHz"), 0.64, 3.97, "Cascade Lake:"),
            (intel(85, 6, "Intel Xeon Processor (Cascadelake)"), 0.64, 3.97, "Cascade Lake:"),
            (intel(79, 1, "Intel(R) Xeon(R) CPU E5-2686 v4 @ 2.30GHz"), 0.71, 3.69, "Broadwell:"),
            (intel(63, 0, "Intel(R) Xeon(R) CPU @ 2.30GHz"), 1.0, 4.74, "Haswell:"),
            (intel(62, 4, "Intel(R) Xeon(R) CPU E5-2670 v2 @ 2.50GHz"), 3.04, 8.25, "Ivy Bridge:"),
            (intel(45, 7, "Intel(R) Xeon(R) CPU E5-2650 0 @ 2.00GHz"), 2.17, 8.58, "Sandy Bridge:"),
            (arm(0xd0c), 0.47, 1.69, "AWS Graviton2:"),
            (arm(0xd40), 0.47, 1.69, "AWS Graviton2 (the nearest"),
            (guest(intel(134, 0, "Intel Xeon Processor (Icelake)")), 0.64, 3.97, "Cascade Lake (the nearest"),
            (
                guest(intel(143, 8, "Intel(R) Xeon(R) Platinum 8488C")),
                0.64,
                3.97,
                "Cascade Lake (the nearest",
            ),
            (guest(amd(25, 17, "AMD EPYC 9R14")), 0.45, 2.02, "AMD EPYC 3rd Gen (the nearest"),
            (guest(intel(94, 3, "Intel Core Processor (Skylake, IBRS)")), 0.65, 4.26, "Skylake (the nearest"),
            (guest(amd(15, 6, "Common KVM processor")), 0.74, 3.5, "average ("),
            (Processor::default(), 0.74, 3.5, "average ("),
        ];
        for (cpu, idle, full, row) in rows {
            let found = found(&cpu, 10);
            assert!(
                (found.0 - idle * 10.0).abs() < 1e-6 && (found.1 - full * 10.0).abs() < 1e-6,
                "{found:?}"
            );
            assert!(found.2.starts_with(row) && found.2.contains("@cloud-carbon-footprint/"), "{found:?}");
        }
    }

    #[test]
    fn others_by_the_design_power_of_their_model() {
        let rows = [
            (with_cores(4, 8, intel(94, 3, "Intel(R) Core(TM) i7-6700 CPU @ 3.40GHz")), 8, 65.0),
            (with_cores(6, 12, intel(158, 10, "Intel(R) Core(TM) i7-8700 CPU @ 3.20GHz")), 12, 65.0),
            (with_cores(2, 2, intel(23, 6, "Intel(R) Core(TM)2 Duo CPU     E8400  @ 3.00GHz")), 2, 65.0),
            (with_cores(4, 8, intel(142, 10, "Intel(R) Core(TM) i5-8250U CPU @ 1.60GHz")), 8, 15.0),
            (with_cores(4, 8, intel(44, 2, "Intel(R) Xeon(R) CPU           E5620  @ 2.40GHz")), 16, 160.0),
            (with_cores(40, 80, intel(106, 6, "Intel(R) Xeon(R) Platinum 8380 CPU @ 2.30GHz")), 160, 540.0),
            (with_cores(56, 112, intel(143, 8, "Intel(R) Xeon(R) Platinum 8480+")), 224, 700.0),
            (with_cores(96, 192, amd(25, 17, "AMD EPYC 9654 96-Core Processor")), 384, 720.0),
            (guest(amd(25, 17, "AMD EPYC 9654 96-Core Processor")), 4, 7.5),
            (with_cores(16, 32, amd(25, 33, "AMD Ryzen 9 5950X 16-Core Processor")), 32, 105.0),
            (with_cores(32, 64, amd(23, 49, "AMD Ryzen Threadripper 3970X 32-Core Processor")), 64, 280.0),
            (with_cores(4, 8, amd(21, 2, "AMD FX(tm)-8350 Eight-Core Processor")), 8, 125.0),
            (with_cores(6, 12, amd(25, 80, "AMD Ryzen 5 5600G with Radeon Graphics")), 12, 65.0),
        ];
        for (cpu, threads, full) in rows {
            let found = found(&cpu, threads);
            assert!(
                (found.1 - full).abs() < 1e-6 && (found.0 - full * 0.74 / 3.5).abs() < 1e-3,
                "{cpu:?}: {found:?}"
            );
            assert!(found.2.contains("codecarbon") && found.2.contains("design power"), "{found:?}");
        }
    }

    #[test]
    fn a_guest_whose_chip_is_not_told_is_not_charged_a_whole_one() {
        let cpu = guest(intel(106, 6, "Intel(R) Xeon(R) Platinum 8375C CPU @ 2.90GHz"));
        assert!(found(&cpu, 4).1 < 20.0);
    }

    #[test]
    fn every_row_is_whole() {
        let lines = TABLE.lines().skip(1);
        assert_eq!(rows().count(), lines.clone().count());
        assert!(lines.clone().all(|line| line.split(',').count() == 8), "no field may have a comma");
        for row in rows() {
            let figures =
                if row.kind == "tdp" { row.tdp > 0.0 } else { 0.0 < row.idle && row.idle < row.full };
            assert!(figures && !row.source.is_empty(), "{row:?}");
        }
        assert!(FAMILIES.iter().all(|family| named(family.row).is_some()));
    }

    proptest! {
        #[test]
        fn no_processor_panics(name in "(AMD |Intel\\(R\\) )?.{0,30}[0-9]{0,5}(-Core)?", numbers: [u32; 4], is_virtual: bool, threads: u32) {
            let [family, model, cores, siblings] = numbers;
            let cpu = Processor { is_virtual, ..with_cores(cores, siblings, amd(family, model, &name)) };
            let estimate = estimate(&cpu, threads);
            prop_assert!(estimate.idle <= estimate.full);
        }
    }
}
