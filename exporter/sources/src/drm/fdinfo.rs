//! What the kernel tells of one open file of a GPU: `/proc/PID/fdinfo/FD`.
//!
//! <https://docs.kernel.org/gpu/drm-usage-stats.html>

use std::collections::BTreeMap;

/// A client of a GPU, as one of its files tells it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Client {
    /// The device's PCI address.
    pub(super) device: String,
    /// The client's number, unique on its device; several files may be of one client.
    pub(super) id: u64,
    /// Time on each engine since the client began, in ns.
    pub(super) engines: BTreeMap<String, u64>,
    /// How many engines of a name there are, where it is more than one.
    pub(super) capacity: BTreeMap<String, u64>,
    /// Cycles on each engine, and cycles that passed, where the driver counts those.
    pub(super) cycles: BTreeMap<String, (u64, u64)>,
    /// Memory of the device that it holds, in bytes; `None` where the driver does not tell.
    pub(super) memory: Option<u64>,
}

/// Reads the content; `None` where the file is no GPU's.
pub(super) fn parse(content: &str) -> Option<Client> {
    let mut client = Client::default();
    let (mut resident, mut held) = (None, None);
    let mut id = None;
    for (key, value) in content.lines().filter_map(|line| line.split_once(':')) {
        let value = value.trim();
        let key = key.trim();
        let number = || value.split(' ').next()?.parse::<u64>().ok();
        if key == "drm-pdev" {
            client.device = value.to_owned();
        } else if key == "drm-client-id" {
            id = number();
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
        } else if key == "drm-memory-vram" {
            held = bytes(value);
        }
    }
    client.id = id?;
    client.memory = resident.or(held);
    (!client.device.is_empty()).then_some(client)
}

/// `123 KiB`, `1 MiB`, or bytes.
fn bytes(value: &str) -> Option<u64> {
    let (number, unit) = value.split_once(' ').unwrap_or((value, ""));
    let factor = match unit.trim() {
        "" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

impl Client {
    /// Its time on the engines since `before`, in ns, while `passed` ns went by.
    pub(super) fn since(&self, before: Option<&Self>, passed: u64) -> Option<u64> {
        if self.engines.is_empty() && self.cycles.is_empty() {
            return None;
        }
        let earlier = |name: &str| before.and_then(|client| client.engines.get(name)).copied().unwrap_or(0);
        let shared = |name: &str| self.capacity.get(name).copied().unwrap_or(1).max(1);
        let timed = self.engines.iter().map(|(name, now)| now.saturating_sub(earlier(name)) / shared(name));
        let counted = self.cycles.iter().map(|(name, (now, total))| {
            let (own, all) = before.and_then(|client| client.cycles.get(name)).copied().unwrap_or((0, 0));
            let (own, all) = (now.saturating_sub(own), total.saturating_sub(all));
            (u128::from(passed) * u128::from(own)).checked_div(u128::from(all)).unwrap_or(0) as u64
        });
        Some(timed.chain(counted).fold(0, u64::saturating_add))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const AMD: &str = "pos:\t0\nflags:\t02100002\nmnt_id:\t26\nino:\t1168\ndrm-driver:\tamdgpu\ndrm-client-id:\t49\n\
        drm-pdev:\t0000:03:00.0\npasid:\t32774\ndrm-memory-vram:\t52252 KiB\ndrm-memory-gtt: \t2852 KiB\n\
        drm-engine-gfx:\t9563234771 ns\ndrm-engine-compute:\t1000 ns\ndrm-engine-capacity-compute:\t4\n";
    const XE: &str = "drm-driver:\txe\ndrm-client-id:\t7\ndrm-pdev:\t0000:00:02.0\ndrm-total-vram0:\t0\n\
        drm-resident-vram0:\t16 MiB\ndrm-resident-gtt:\t4 KiB\ndrm-cycles-rcs:\t28257900\ndrm-total-cycles-rcs:\t7655183225\n\
        drm-cycles-bcs:\t0\ndrm-total-cycles-bcs:\t7655183225\n";

    #[test]
    fn amdgpu_tells_nanoseconds() {
        let client = parse(AMD).unwrap();
        assert_eq!((&*client.device, client.id, client.memory), ("0000:03:00.0", 49, Some(52252 << 10)));
        assert_eq!(client.since(None, 1), Some(9_563_234_771 + 250));
        let mut later = client.clone();
        later.engines.insert("gfx".into(), 9_563_234_871);
        assert_eq!(later.since(Some(&client), 1), Some(100));
    }

    #[test]
    fn xe_tells_cycles() {
        let client = parse(XE).unwrap();
        assert_eq!(client.memory, Some(16 << 20));
        let mut later = client.clone();
        later.cycles.insert("rcs".into(), (28_257_900 + 250, 7_655_183_225 + 1000));
        assert_eq!(later.since(Some(&client), 1_000_000), Some(250_000));
    }

    #[test]
    fn other_files_are_no_clients() {
        for other in
            ["", "pos:\t0\nflags:\t0100002\n", "drm-driver:\tvgem\ndrm-client-id:\t1\n", "drm-pdev: 1\n"]
        {
            assert_eq!(parse(other), None, "{other}");
        }
        assert_eq!(parse("drm-pdev: a\ndrm-client-id: 1\n").unwrap().since(None, 1), None);
    }

    proptest! {
        #[test]
        fn any_content_is_read(content in "(drm-(pdev|client-id|resident-vram0|engine-gfx|cycles-rcs|total-cycles-rcs|engine-capacity-gfx|[a-z-]{0,9}):[ \t]?[0-9]{0,20}[a-zKMi: ]{0,4}\n){0,12}", passed in any::<u64>()) {
            if let Some(client) = parse(&content) {
                client.since(Some(&client), passed);
            }
        }
    }
}
