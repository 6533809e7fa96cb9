//! What the keys of steps see of a stage.

use crate::pythons::{Bench, LAYERS, STAGE, each};

#[test]
fn an_edit_of_the_source_makes_stale_what_depends_on_it() {
    each("the key of a stage", |answers| {
        let bench = Bench::new(answers, &[LAYERS, STAGE]);
        bench.ok("run", &[]);
        let by_arguments = ["--run-dir", "by-arguments", "--set", "modules.b.key=arguments"];
        bench.ok("run", &by_arguments);
        let path = bench.tiny.path("stages.py");
        let source = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, format!("{source}\n# edited\n")).unwrap();
        assert_eq!(bench.open_steps(&by_arguments), [""; 0], "{answers:?}");
        let open = bench.open_steps(&[]);
        let stale = |step: &str| open.iter().any(|it| it.as_str() == step);
        assert!(stale("train b") && stale("encode b") && stale("probe b"), "{open:?}");
        assert!(!stale("train a") && !stale("encode a") && !stale("ingest ingest"), "{open:?}");
        let status = bench.json("status", &[]).to_string();
        assert!(status.contains("source.stages.py"), "it does not say which file: {status}");
        // The edit is taken back: all is there again.
        std::fs::write(&path, source).unwrap();
        assert_eq!(bench.open_steps(&[]), [""; 0], "{answers:?}");
    });
}
