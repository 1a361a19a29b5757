//! `/proc/PID/cgroup`.
#![no_main]

libfuzzer_sys::fuzz_target!(|content: &str| {
    noether_sources::fuzzing::proc_cgroup(content);
});
