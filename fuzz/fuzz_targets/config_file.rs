//! The file of `--config.file`.
#![no_main]

use noether::settings;

libfuzzer_sys::fuzz_target!(|content: &[u8]| {
    let arguments = ["noether", "--config.file=noether.yaml"].map(Into::into).into_iter();
    let _ = settings::parse(arguments, std::iter::empty(), |_| Ok(content.to_owned()));
});
