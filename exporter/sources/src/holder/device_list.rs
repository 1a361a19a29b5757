//! Which GPUs the kernel lets a cgroup of v1 open: its `devices.list`. In v2 a program decides, which cannot be read.
//!
//! <https://docs.kernel.org/admin-guide/cgroup-v1/devices.html>; the numbers:
//! <https://docs.kernel.org/admin-guide/devices.html>

use std::collections::BTreeSet;

use noether_core::gpu::Name;

/// The major number of `/dev/nvidia0` and those beside it.
const NVIDIA: &str = "195";

/// Above are `nvidia-modeset` and `nvidiactl`, which belong to no device.
const HIGHEST: u32 = 253;

/// The devices of NVIDIA that may be read or written; `None` where the list allows everything, and so tells nothing.
pub(crate) fn allowed(list: &str) -> Option<Vec<Name>> {
    let mut names = BTreeSet::new();
    for line in list.lines() {
        let mut words = line.split_whitespace();
        let (kind, numbers, access) = (words.next(), words.next().unwrap_or_default(), words.next());
        // To make a device file is not to open it: everybody may.
        let opens = access.is_some_and(|access| access.contains(['r', 'w']));
        let Some((major, minor)) = numbers.split_once(':') else { continue };
        match (kind, major, minor) {
            (Some("a"), ..) if opens => return None,
            (Some("c"), "*", _) if opens => return None,
            (Some("c"), NVIDIA, "*") if opens => {
                names.insert(Name::All);
            }
            (Some("c"), NVIDIA, minor) if opens => {
                names.extend(minor.parse().ok().filter(|minor| *minor <= HIGHEST).map(Name::Minor));
            }
            _ => {}
        }
    }
    Some(names.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// As Docker writes it, for a container with two GPUs.
    const DOCKER: &str =
        "b *:* m\nc *:* m\nc 1:3 rwm\nc 136:* rwm\nc 195:255 rw\nc 195:0 rw\nc 195:3 rw\nc 236:0 rw\n";

    #[test]
    fn a_list_tells_which_files_may_be_opened() {
        assert_eq!(allowed(DOCKER), Some(vec![Name::Minor(0), Name::Minor(3)]));
        assert_eq!(allowed("c 1:3 rwm\n"), Some(vec![]));
        assert_eq!(allowed(""), Some(vec![]));
        assert_eq!(allowed("a *:* rwm\n"), None, "privileged, or in no container");
        assert_eq!(allowed("c *:* rwm\n"), None);
        assert_eq!(allowed("c 195:* rwm\n"), Some(vec![Name::All]));
        assert_eq!(allowed("c 195:0 m\nc 195:x rw\nb 195:1 rw\nc 1950:2 rw\n"), Some(vec![]));
    }

    proptest! {
        #[test]
        fn any_list_is_read(list in "([abc] (195|[0-9*]{1,12}):[0-9*]{0,12} ?[rwm]{0,3}\n?|.{0,9}\n){0,6}") {
            allowed(&list);
        }
    }
}
