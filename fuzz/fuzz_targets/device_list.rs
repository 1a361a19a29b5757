//! The list of a v1 device cgroup: `devices.list`.
#![no_main]

libfuzzer_sys::fuzz_target!(|content: &str| {
    noether_sources::fuzzing::device_list(content);
});
