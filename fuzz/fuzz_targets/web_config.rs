//! The file of `--web.config.file`; what it names is not there.
#![no_main]

use std::io;
use std::path::Path;

use noether::web_config::WebConfig;

libfuzzer_sys::fuzz_target!(|content: &[u8]| {
    let path = Path::new("web.yml");
    let _ = WebConfig::load(path, &mut |asked: &Path| {
        if asked == path { Ok(content.to_owned()) } else { Err(io::ErrorKind::NotFound.into()) }
    });
});
