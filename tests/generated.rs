//! The committed protobuf code matches the definitions.
//!
//! `UPDATE_GENERATED=1 cargo test --test generated` regenerates it.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]

#[path = "generated/schema.rs"]
mod schema;

use std::{env, fs, path::Path};

/// Definition in `proto/`, package, generated code, and generated field table.
const DEFINITIONS: &[(&str, &str, &str, &str)] = &[
    (
        "status.proto",
        "status",
        "crates/core/src/payload/proto.rs",
        "crates/core/src/payload/schema.rs",
    ),
    ("sync.proto", "sync", "crates/core/src/sync/proto.rs", "crates/core/src/sync/schema.rs"),
    (
        "secure.proto",
        "secure",
        "crates/core/src/secure/proto.rs",
        "crates/core/src/secure/schema.rs",
    ),
];

#[test]
fn protobuf_code_matches_the_definitions() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (definition, package, code, table) in DEFINITIONS {
        let descriptors = protox::compile([definition], [root.join("proto")]).unwrap();
        check(root, definition, table, &schema::table(&descriptors.file[0]));
        let out = tempfile::tempdir().unwrap();
        // Ordered maps, for reproducible encodings.
        let mut config = prost_build::Config::new();
        config.btree_map(["."]).out_dir(out.path()).compile_fds(descriptors).unwrap();
        let generated = fs::read_to_string(out.path().join(format!("{package}.rs"))).unwrap();
        check(root, definition, code, &generated);
    }
}

fn check(root: &Path, definition: &str, file: &str, generated: &str) {
    let path = root.join(file);
    if env::var_os("UPDATE_GENERATED").is_some() {
        fs::write(&path, generated).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == generated,
        "{file} is not what proto/{definition} gives; \
         run: UPDATE_GENERATED=1 cargo test --test generated"
    );
}
