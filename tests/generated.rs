//! The protobuf code in the tree is what the definitions give.
//!
//! `UPDATE_GENERATED=1 cargo test --test generated` writes it anew.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]

use std::{env, fs, path::Path};

/// Definitions in `proto/`, the package they declare, and where the code for it is kept.
const MODULES: [(&str, &str, &str); 2] = [
    ("status.proto", "status", "src/payload/proto.rs"),
    ("secure.proto", "secure", "src/secure/proto.rs"),
];

#[test]
fn protobuf_code_matches_the_definitions() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (definitions, package, module) in MODULES {
        let descriptors = protox::compile([definitions], [root.join("proto")]).unwrap();
        let out = tempfile::tempdir().unwrap();
        // Ordered maps, so that what we encode is the same every time.
        let mut config = prost_build::Config::new();
        config.btree_map(["."]).out_dir(out.path()).compile_fds(descriptors).unwrap();
        let generated = fs::read_to_string(out.path().join(format!("{package}.rs"))).unwrap();

        let path = root.join(module);
        if env::var_os("UPDATE_GENERATED").is_some() {
            fs::write(&path, &generated).unwrap();
        }
        let committed = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            committed == generated,
            "{module} is not what proto/{definitions} gives; \
             run: UPDATE_GENERATED=1 cargo test --test generated"
        );
    }
}
