//! What a cgroup is, by its path: users choose the names of their own folders.
#![no_main]

libfuzzer_sys::fuzz_target!(|path: &str| {
    let _ = noether_sources::pattern::recognise(path);
});
