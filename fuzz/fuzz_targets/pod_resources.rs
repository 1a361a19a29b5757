//! The kubelet's `ListPodResourcesResponse`.
#![no_main]

libfuzzer_sys::fuzz_target!(|content: &[u8]| {
    noether_sources::fuzzing::pod_resources(content);
});
