//! What the kernel reports of one open file of a GPU: `/proc/PID/fdinfo/FD`.
//!
//! <https://docs.kernel.org/gpu/drm-usage-stats.html>; amdgpu before Linux 5.19 had keys of its own (`pdev`, `pasid`, `vram mem`,
//! `gfx0`): <https://github.com/torvalds/linux/blob/v5.14/drivers/gpu/drm/amd/amdgpu/amdgpu_fdinfo.c>

use std::collections::BTreeMap;

/// Engines that move data or code and decode video. Utilisation counts the others, which run programs: graphics and compute.
const BESIDE: [&str; 13] = [
    "dma",
    "copy",
    "bcs",
    "dec",
    "enc",
    "enc_1",
    "jpeg",
    "vpe",
    "video",
    "video-enhance",
    "vcs",
    "vecs",
    "uvd_enc",
];

/// A client of a GPU, as one of its files reports it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Client {
    /// The driver's name; empty before Linux 5.19.
    pub(super) driver: String,
    /// The device's PCI address; empty for a device that is not on PCI itself, such as a partition of one that is.
    pub(super) device: String,
    /// The client's number, unique on its device; several files may be of one client.
    pub(super) id: u64,
    /// Time on each engine since the client began, in ns.
    pub(super) engines: BTreeMap<String, u64>,
    /// How many engines of a name there are, where it is more than one.
    pub(super) capacity: BTreeMap<String, u64>,
    /// Cycles on each engine, and cycles that passed, where the driver counts those.
    pub(super) cycles: BTreeMap<String, (u64, u64)>,
    /// Memory of the device that it holds, in bytes; `None` where the driver does not report it.
    pub(super) memory: Option<u64>,
    /// Whether it is of a kernel that reports no times: Linux before 5.19, whose percentages are of no interval.
    pub(super) dated: bool,
}

/// A client's time in an interval, in ns; `None` where no engine of the kind is reported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct EngineTime {
    /// On all engines together.
    pub(super) all: Option<u64>,
    /// On those that run programs.
    pub(super) programs: Option<u64>,
}

/// Reads the content; `None` where the file is no GPU's.
pub(crate) fn parse(content: &str) -> Option<Client> {
    let mut client = Client::default();
    let (mut resident, mut held) = (None, None);
    let (mut id, mut context) = (None, None);
    for (key, value) in content.lines().filter_map(|line| line.split_once(':')) {
        let value = value.trim();
        let key = key.trim();
        let number = || value.split(' ').next()?.parse::<u64>().ok();
        if key == "drm-pdev" || key == "pdev" {
            client.device = value.to_owned();
            client.dated = key == "pdev";
        } else if key == "drm-driver" {
            client.driver = value.to_owned();
        } else if key == "drm-client-id" {
            id = number();
        } else if key == "pasid" {
            context = number();
        } else if let Some(name) = key.strip_prefix("drm-engine-capacity-") {
            client.capacity.extend(number().map(|count| (name.to_owned(), count)));
        } else if let Some(name) = key.strip_prefix("drm-engine-") {
            client.engines.extend(number().map(|time| (name.to_owned(), time)));
        } else if let Some(name) = key.strip_prefix("drm-total-cycles-") {
            client.cycles.entry(name.to_owned()).or_default().1 = number().unwrap_or(0);
        } else if let Some(name) = key.strip_prefix("drm-cycles-") {
            client.cycles.entry(name.to_owned()).or_default().0 = number().unwrap_or(0);
        } else if key.starts_with("drm-resident-vram") || key.starts_with("drm-resident-local") {
            resident = bytes(value).map(|bytes| bytes.saturating_add(resident.unwrap_or(0))).or(resident);
        } else if key == "drm-memory-vram" || key == "vram mem" {
            held = bytes(value);
        }
    }
    // The number of its address space, where the kernel does not number clients: one for each open file.
    client.id = id.or(context.filter(|_| client.dated))?;
    client.memory = resident.or(held);
    (!client.device.is_empty() || !client.driver.is_empty()).then_some(client)
}

/// `123 KiB`, `1 MiB`, `7 kB`, or bytes.
fn bytes(value: &str) -> Option<u64> {
    let (number, unit) = value.split_once(' ').unwrap_or((value, ""));
    let factor = match unit.trim() {
        "" => 1,
        // The older kernels divide by 1024, whatever they call it.
        "KiB" | "kB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

impl Client {
    /// Its time on the engines since `before`, while `passed` ns went by.
    pub(super) fn since(&self, before: Option<&Self>, passed: u64) -> EngineTime {
        let earlier = |name: &str| before.and_then(|client| client.engines.get(name)).copied().unwrap_or(0);
        let shared = |name: &str| self.capacity.get(name).copied().unwrap_or(1).max(1);
        let timed = self.engines.iter().map(|(name, now)| {
            let time = now.saturating_sub(earlier(name)) / shared(name);
            // Seen for the first time, it has worked since it was opened, which may be long ago.
            (name, if before.is_some() { time } else { time.min(passed) })
        });
        let counted = self.cycles.iter().map(|(name, (now, total))| {
            let (own, all) = before.and_then(|client| client.cycles.get(name)).copied().unwrap_or((0, 0));
            let (own, all) = (now.saturating_sub(own), total.saturating_sub(all));
            let time = (u128::from(passed) * u128::from(own)).checked_div(u128::from(all)).unwrap_or(0);
            (name, u64::try_from(time).unwrap_or(u64::MAX))
        });
        timed.chain(counted).fold(EngineTime::default(), |sum, (name, time)| {
            let programs = Some(time).filter(|_| !BESIDE.contains(&name.as_str()));
            sum.and(EngineTime { all: Some(time), programs })
        })
    }
}

impl EngineTime {
    /// The sum of both.
    pub(super) fn and(self, other: Self) -> Self {
        Self { all: sum(self.all, other.all), programs: sum(self.programs, other.programs) }
    }
}

/// The sum of what is known.
pub(super) fn sum(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.saturating_add(other)),
        (one, other) => one.or(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const AMD: &str = "pos:\t0\nflags:\t02100002\nmnt_id:\t26\nino:\t1168\ndrm-driver:\tamdgpu\ndrm-client-id:\t49\n\
        drm-pdev:\t0000:03:00.0\npasid:\t32774\ndrm-memory-vram:\t52252 KiB\ndrm-memory-gtt: \t2852 KiB\n\
        drm-engine-gfx:\t9563234771 ns\ndrm-engine-compute:\t1000 ns\ndrm-engine-capacity-compute:\t4\n\
        drm-engine-dec:\t77 ns\n";
    const XE: &str = "drm-driver:\txe\ndrm-client-id:\t7\ndrm-pdev:\t0000:00:02.0\ndrm-total-vram0:\t0\n\
        drm-resident-vram0:\t16 MiB\ndrm-resident-gtt:\t4 KiB\ndrm-cycles-rcs:\t28257900\ndrm-total-cycles-rcs:\t7655183225\n\
        drm-cycles-bcs:\t0\ndrm-total-cycles-bcs:\t7655183225\n";
    const OLD: &str = "pos:\t0\nflags:\t02100002\nmnt_id:\t24\npdev:\t0000:03:00.0\npasid:\t32775\nvram mem:\t103300 kB\n\
        gtt mem:\t2048 kB\ncpu mem:\t0 kB\ngfx0:\t12.34%\ndma0:\t0.1%\n";

    fn time(all: u64, programs: u64) -> EngineTime {
        EngineTime { all: Some(all), programs: Some(programs) }
    }

    #[test]
    fn amdgpu_reports_nanoseconds() {
        let client = parse(AMD).unwrap();
        assert_eq!((&*client.device, client.id, client.memory), ("0000:03:00.0", 49, Some(52252 << 10)));
        let all = 9_563_234_771 + 250;
        assert_eq!(client.since(None, u64::MAX), time(all + 77, all));
        assert_eq!(
            client.since(None, 1000),
            time(1000 + 250 + 77, 1250),
            "of what was before, an interval's"
        );
        let mut later = client.clone();
        later.engines.insert("gfx".into(), 9_563_234_871);
        later.engines.insert("dec".into(), 107);
        assert_eq!(later.since(Some(&client), 1), time(130, 100));
    }

    #[test]
    fn xe_reports_cycles() {
        let client = parse(XE).unwrap();
        assert_eq!(client.memory, Some(16 << 20));
        let mut later = client.clone();
        later.cycles.insert("rcs".into(), (28_257_900 + 250, 7_655_183_225 + 1000));
        assert_eq!(later.since(Some(&client), 1_000_000), time(250_000, 250_000));
    }

    #[test]
    fn kernels_before_5_19_report_memory_and_no_time() {
        let client = parse(OLD).unwrap();
        assert_eq!((&*client.device, client.id), ("0000:03:00.0", 32775));
        assert_eq!((client.memory, client.dated), (Some(103_300 << 10), true));
        assert_eq!(client.since(Some(&client), 1000), EngineTime::default());
        assert!(!parse(AMD).unwrap().dated);
    }

    #[test]
    fn a_partition_names_its_driver_alone() {
        let client = parse("drm-driver:\tamdgpu\ndrm-client-id:\t3\npasid:\t9\n").unwrap();
        assert_eq!((&*client.driver, &*client.device, client.id), ("amdgpu", "", 3));
    }

    #[test]
    fn other_files_are_no_clients() {
        for other in ["", "pos:\t0\nflags:\t0100002\n", "pasid: 1\n", "drm-pdev: 1\n", "drm-client-id: 1\n"] {
            assert_eq!(parse(other), None, "{other}");
        }
        let client = parse("drm-pdev: a\ndrm-client-id: 1\n").unwrap();
        assert_eq!(client.since(None, 1), EngineTime::default());
    }

    proptest! {
        #[test]
        fn any_content_is_read(content in "((drm-(pdev|driver|client-id|resident-vram0|engine-gfx|cycles-rcs|total-cycles-rcs|engine-capacity-gfx|[a-z-]{0,9})|pdev|pasid|vram mem):[ \t]?[0-9]{0,20}[a-zKMi: ]{0,4}\n){0,12}", passed in any::<u64>()) {
            if let Some(client) = parse(&content) {
                client.since(Some(&client), passed);
            }
        }
    }
}
