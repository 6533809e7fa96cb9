//! The package in `python/` is of the version of the program, which refuses others.

#[test]
fn the_package_has_the_version_of_the_program() {
    let text = include_str!("../../python/gimlet/stage/version.py");
    let version = env!("CARGO_PKG_VERSION");
    assert!(text.contains(&format!("VERSION = \"{version}\"\n")), "{text}");
    assert!(text.contains("PROTOCOL = 1\n"), "{text}");
    let page = include_str!("../../docs/how/stage-protocol.md");
    assert!(page.contains("version 1 of the protocol"));
}
