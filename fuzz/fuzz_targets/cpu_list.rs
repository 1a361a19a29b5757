//! Lists of processors, as `cpuset.cpus` and sysfs have them: `0-3,8`.
#![no_main]

libfuzzer_sys::fuzz_target!(|content: &[u8]| {
    let _ = noether_sources::topology::CpuList::parse(content);
});
