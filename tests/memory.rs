//! What the method is for: a stage takes the memory of its module, however deep the stack is.

mod tiny;

use std::process::Command;

use tiny::Tiny;

/// A stack of residual blocks, each a module of its own or all of them one, whose activations outweigh
/// everything else that a process holds.
fn stack(blocks: usize) -> Tiny {
    Tiny::with(&format!(
        r#"
name = "deep"

[data.textures]
classes = 2
size = 32
train = 72
test = 2

[view]
patch = 16
stride = 8

[[modules]]
name = "a"
layers = [{{ conv = {{ channels = 32, kernel = 3 }} }}, {{ basic = {{ channels = 32, blocks = {blocks} }} }}]

[loss.infonce]
prediction_steps = 1
negatives = 4

[training]
epochs = 1
batch = 72

[store]
read_memory = "1MB"

[probe]
epochs = 1
"#
    ))
}

const STAGED: [&str; 2] = ["--set", "split=\"each\""];

/// The highest peak of all trainings, in bytes, each in a process of its own: what one has freed and
/// the allocator has kept is not the next one's. `None` where the system does not tell.
fn peak(stack: &Tiny, args: &[&str]) -> Option<u64> {
    stack.ok("ingest", args);
    let stages = || stack.json("status", args)["stages"].as_array().expect("stages").clone();
    for stage in stages().iter().filter(|stage| stage["step"] == "train") {
        let module = stage["stage"].as_str().expect("a module's name");
        for command in ["train", "encode"] {
            stack.ok(command, &[&[module], args].concat());
        }
    }
    let trained = stages().into_iter().filter(|stage| stage["step"] == "train");
    trained.filter_map(|stage| stage["peak_memory"].as_u64()).max()
}

/// Past the test harness, which swallows what a test prints that passes.
fn skipped(why: &str) {
    use std::io::Write;
    std::io::stderr().write_all(format!("skipped: {why}\n").as_bytes()).unwrap();
}

#[test]
fn a_deep_stack_trains_in_the_memory_of_a_shallow_one_and_end_to_end_it_does_not() {
    let (shallow, deep) = (stack(3), stack(48));
    let Some(three) = peak(&shallow, &STAGED) else {
        return skipped("the system does not tell how much memory a process had");
    };
    let all = peak(&deep, &STAGED).unwrap();
    println!("3 modules: {three}, 48 modules: {all}");
    assert!(all.abs_diff(three) * 10 <= three, "3 modules take {three}, 48 take {all}");
    let end_to_end = peak(&deep, &["--run-dir", "end-to-end"]).unwrap();
    println!("end to end: {end_to_end}");
    assert!(end_to_end > 5 * all, "staged {all}, end to end {end_to_end}");
}

#[test]
fn under_a_limit_that_ends_end_to_end_training_the_staged_one_ends_well() {
    if cfg!(not(target_os = "linux")) {
        return skipped("`ulimit -v` limits memory on Linux only");
    }
    let stack = stack(24);
    let run = |args: &str| {
        let gimlet = env!("CARGO_BIN_EXE_gimlet");
        let command =
            format!("ulimit -c 0; ulimit -v 1000000; exec '{gimlet}' run tiny.toml {args}");
        Command::new("sh").args(["-c", &command]).current_dir(stack.path(".")).output().unwrap()
    };
    let staged = run("--set 'split=\"each\"'");
    assert!(staged.status.success(), "{}", String::from_utf8_lossy(&staged.stderr));
    let end_to_end = run("--run-dir end-to-end");
    let said = String::from_utf8_lossy(&end_to_end.stderr);
    assert!(!end_to_end.status.success(), "{said}");
    assert!(said.contains("memory"), "it died of something else: {said}");
}
