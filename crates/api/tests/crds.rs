//! `crds/` holds what the types say.

#[path = "../examples/crds.rs"]
#[expect(dead_code, reason = "the example's main is not this test's")]
mod example;

#[test]
fn the_files_under_crds_are_what_the_types_generate() {
    for (path, text) in example::files() {
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            found == text,
            "{} is stale; run `cargo run -p meridian-api --example crds`",
            path.display()
        );
    }
}

#[test]
fn nothing_else_is_under_crds() {
    let expected: Vec<_> = example::files().into_iter().map(|(path, _)| path).collect();
    for folder in example::folders() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            assert!(
                path.is_dir() || expected.contains(&path),
                "{} is stray",
                path.display()
            );
        }
    }
}
