//! What a stage must not do, and what is said of it.

use crate::pythons::{Answers, Bench, LAYERS, STAGE, each, is_there};

/// The stage of this class.
fn class(name: &str) -> String {
    format!("python = \"stages.py:{name}\"")
}

/// Asserts that all `parts` are in a text, in this order.
fn contains_in_order(text: &str, parts: &[&str]) {
    let mut rest = text;
    for part in parts {
        let Some(at) = rest.find(part) else { panic!("`{part}` is missing in:\n{text}") };
        rest = &rest[at + part.len()..];
    }
}

#[test]
fn an_exception_is_shown_whole_below_a_line_of_ours() {
    each("an exception of a stage", |answers| {
        let bench = Bench::new(answers, &[LAYERS, &class("Raises")]);
        let args = ["--set", "training.checkpoint_seconds=0"];
        let err = bench.fails("run", &args);
        contains_in_order(
            &err,
            &[
                "error: `train b` stopped at epoch 1, step 3, the last good checkpoint is kept: ",
                "`b` (stages.py:Raises): ValueError: not today\n",
                "Traceback (most recent call last):\n",
                "in loss\n",
                "ValueError: not today",
                "hint: mend the stage, and run the same command again",
            ],
        );
        // What came before is kept, and a stage that is mended trains.
        assert!(!bench.open_steps(&[]).contains(&"encode a".to_owned()));
        let mended = std::fs::read_to_string(bench.tiny.path("tiny.toml")).unwrap();
        let mended = mended.replace("stages.py:Raises", "stages.py:Scale");
        std::fs::write(bench.tiny.path("tiny.toml"), mended).unwrap();
        bench.ok("run", &[]);
    });
}

#[test]
fn a_number_that_is_not_finite_stops_the_training() {
    each("a loss that is not finite", |answers| {
        let bench = Bench::new(answers, &[&class("Nan")]);
        let err = bench.fails("run", &[]);
        contains_in_order(
            &err,
            &[
                "`train a` stopped at epoch 1, step 3",
                "the loss is nan",
                "hint: lower `training.learning_rate`",
            ],
        );
    });
}

#[test]
fn a_process_that_ends_is_told_of_with_its_last_words() {
    each("a process that ends", |answers| {
        let bench = Bench::new(answers, &[&class("Dies")]);
        let err = bench.fails("run", &[]);
        contains_in_order(
            &err,
            &[
                "error: ",
                "`a` (stages.py:Dies): its Python process ended with exit code 7",
                "these are my last words",
            ],
        );
        let bench = Bench::new(answers, &[&class("Killed")]);
        let err = bench.fails("run", &[]);
        contains_in_order(
            &err,
            &[
                "`a` (stages.py:Killed): its Python process was killed (signal 9)",
                "hint: if the machine was out of memory",
            ],
        );
    });
}

#[test]
fn an_answer_that_is_none_is_refused() {
    let answers = Answers::Pretended;
    if !is_there(answers, "an answer that is none") {
        return;
    }
    let bench = Bench::new(answers, &[&class("Garbage")]);
    let err = bench.fails("run", &[]);
    assert!(err.contains("its Python process gave no answer"), "{err}");
}

#[test]
fn without_a_python_that_can_run_stages_nothing_is_begun() {
    let answers = Answers::Pretended;
    if !is_there(answers, "a Python that cannot run stages") {
        return;
    }
    let bench = Bench::new(answers, &[LAYERS, STAGE]);
    let begun = |set: (&str, &str)| {
        let mut run = bench.process("run", &[]);
        let output = run.env(set.0, set.1).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{set:?}");
        crate::tiny::walk(&bench.tiny.path("runs"), &mut |path| {
            assert!(path.extension().is_none_or(|it| it != "parquet"), "{set:?}: {path:?}");
        });
        crate::tiny::text(&output.stderr)
    };
    let err = begun(("GIMLET_PYTHON", "/nowhere/python"));
    contains_in_order(
        &err,
        &["error: could not start `/nowhere/python`", "hint: name another Python by GIMLET_PYTHON"],
    );
    let err = begun(("PRETENDED_NO_TORCH", "No module named 'torch'"));
    contains_in_order(
        &err,
        &["cannot import torch: No module named 'torch'", "hint: `", "-m pip install torch`"],
    );
    let err = begun(("PRETENDED_VERSION", "9.9.9"));
    contains_in_order(
        &err,
        &["has the package of gimlet 9.9.9, and this program is", "hint: install"],
    );
    bench.python("exec python3 -S -E \"$@\"");
    let err = begun(("PYTHONPATH", ""));
    contains_in_order(&err, &["has no package `gimlet` with stages", "hint: install"]);
}

#[test]
fn what_a_pipeline_says_of_a_stage_is_checked_where_it_stands() {
    let fails = |body: &str, said: &[&str]| {
        let bench = Bench::new(Answers::Pretended, &[body]);
        contains_in_order(&bench.fails("plan", &[]), said);
    };
    fails(
        "python = \"stages.py\"",
        &["`python` of module `a` names no class of a file", "stages.py:Block"],
    );
    fails("python = \"stages.py:a b\"", &["names no class of a file"]);
    fails(&format!("{STAGE}\n{LAYERS}"), &["module `a` has both `layers` and `python`"]);
    fails(&format!("{LAYERS}\narguments = {{}}"), &["`arguments` is for modules in PyTorch"]);
    fails(
        &format!("{STAGE}\narguments = {{ at = 2026-01-01 }}"),
        &["`arguments` of module `a` has a date"],
    );
    fails(&format!("{STAGE}\nkey = \"none\""), &["key"]);
}
