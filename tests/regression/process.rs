//! 50 to 59: signals, limits, file systems, and what is told before the work.

use super::notes;
use super::sound_files;
use super::tiny::{PIPELINE, Tiny, text, walk};

/// 50: SIGHUP of a terminal that is closed, and SIGUSR2 that `submitit` sends before a time limit, ended a run at
/// once: what it had done since its last checkpoint was lost.
#[cfg(unix)]
#[test]
fn r50_a_closed_terminal_and_sigusr2_save_what_was_done() {
    use rustix::process::Signal;
    for signal in [Signal::HUP, Signal::USR2] {
        let tiny = Tiny::new();
        // Before the first step, and no checkpoint is due: there is one only if it is saved for the signal.
        let long = ["--set", "training.epochs=1000"];
        let Some(held) = tiny.held("create log.jsonl", "run", &long) else { return };
        held.signal(signal);
        let output = held.output();
        assert_eq!(output.status.code(), Some(75), "{}", text(&output.stderr));
        tiny.find("runs/tiny/modules", "checkpoint.safetensors");
        let status = tiny.json("status", &long);
        assert_eq!(status["stages"][2]["why"], "checkpoint at step 1", "{status}");
    }
}

/// 51: a write beyond the file-size limit of a shell ended a run without a word, by SIGXFSZ.
#[cfg(unix)]
#[test]
fn r51_a_limit_on_the_size_of_files_is_an_error_that_names_the_file() {
    let tiny = Tiny::new();
    tiny.ok("ingest", &[]);
    let before = tiny.contents("runs/tiny");
    let gimlet = assert_cmd::cargo::cargo_bin!("gimlet").display();
    let script = format!("ulimit -f 10; exec '{gimlet}' --threads 2 run tiny.toml");
    let mut run = std::process::Command::new("sh");
    let output = run.current_dir(tiny.path(".")).args(["-c", &script]).output().unwrap();
    let err = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{err}");
    let (error, hint) = err.split_once("hint: ").unwrap();
    assert!(error.contains("error: runs/tiny/") && error.contains("File too large"), "{err}");
    assert!(hint.contains("the file-size limit (`ulimit -f`)"), "{err}");
    assert!(before.iter().all(|it| tiny.contents("runs/tiny").contains(it)), "it stays");
    tiny.ok("verify", &[]);
    tiny.ok("run", &[]);
}

/// 52: any number of threads was tried: a million of them ended the process, or the machine.
#[test]
fn r52_a_number_of_threads_has_a_bound() {
    let tiny = Tiny::new();
    for command in ["run", "plan", "slurm"] {
        for wrong in ["0", "1025", "1000000", "99999999999999999999", "-1", "many"] {
            let err = tiny.fails(2, command, &[&format!("--threads={wrong}")]);
            assert!(err.contains("a whole number from 1 to 1024"), "{wrong}: {err}");
        }
    }
    let err = tiny.fails(2, "slurm", &["--set", "slurm.cpus_per_task=1025"]);
    assert!(err.contains("`cpus_per_task` must be at most 1024"), "{err}");
}

/// 53: exFAT, and many shares, know no hard links, and no run could commit anything there.
#[test]
fn r53_a_file_system_without_hard_links_holds_a_run() {
    if !gimlet_store::faults::AVAILABLE {
        return eprintln!("skipped: this build has no faults, and so no file system without links");
    }
    let tiny = Tiny::new();
    tiny.ok("run", &["--run-dir", "whole"]);
    for lacks in ["link", "link,move"] {
        let run_dir = lacks.replace(',', "-");
        let mut run = tiny.command("run", &["--run-dir", &run_dir]);
        let output = run.env("GIMLET_LACKS", lacks).output().unwrap();
        assert!(output.status.success(), "{lacks}: {}", text(&output.stderr));
        assert_eq!(tiny.contents(&run_dir), tiny.contents("whole"), "{lacks}");
        tiny.ok("verify", &["--run-dir", &run_dir]);
        walk(&tiny.path(&run_dir), &mut |path| {
            assert!(path.extension().is_none_or(|it| it != "tmp"), "{}", path.display());
        });
    }
    // Without locks nothing would keep two processes from one step.
    let mut run = tiny.command("run", &["--run-dir", "unlocked"]);
    let output = run.env("GIMLET_LACKS", "link,move,lock").output().unwrap();
    let err = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{err}");
    assert!(err.contains("the file system knows no locks") && err.contains("--run-dir"), "{err}");
}

/// 54: a batch larger than the split, and a crop larger than the images, were met after everything had been ingested
/// and encoded.
#[test]
fn r54_what_a_run_would_refuse_it_refuses_at_once_and_so_do_plan_and_slurm() {
    let images = |tiny: &Tiny| {
        for split in ["train", "test"] {
            (0..6).for_each(|it| save_image(tiny, &format!("{split}/{}/{it}.png", it % 2), it));
        }
    };
    let patience = ["--set", "data.textures.test=6", "--set", "schedule.patience=2"];
    for (settings, says, hint) in [
        (&["--set", "training.batch=49"][..], "48 training samples do not fill one batch", "to 48"),
        (&patience, "6 test samples do not fill one batch of 8", "to 6"),
        (&["--set", "view.crop=17"], "does not fit in an image of 16x16", "17"),
    ] {
        let tiny = if says.contains("image") { Tiny::with(&of_images("")) } else { Tiny::new() };
        images(&tiny);
        for command in ["plan", "run", "slurm"] {
            let output = tiny.output(command, settings);
            let err = text(&output.stderr);
            assert!(!output.status.success(), "{command} {settings:?}");
            assert!(err.contains(says) && err.contains(hint), "{command} {settings:?}: {err}");
        }
        assert!(!tiny.path("runs/tiny/datasets").exists(), "{settings:?}: it was told too late");
    }
    // The hint, followed to the letter.
    let tiny = Tiny::new();
    tiny.ok("run", &["--set", "training.batch=48"]);
    // What is done needs no batch.
    let tiny = Tiny::new();
    tiny.ok("run", &[]);
    tiny.ok("plan", &["--set", "probe.epochs=2"]);
}

/// 55: `plan` refused data whose first image is broken, which `run` would have left out.
#[test]
fn r55_a_broken_first_image_that_is_skipped_does_not_keep_plan_from_its_work() {
    let tiny = Tiny::with(&of_images("on_bad_sample = \"skip\""));
    for split in ["train", "test"] {
        (0..12).for_each(|it| save_image(&tiny, &format!("{split}/{}/{it:02}.png", it % 2), it));
        std::fs::write(tiny.path(&format!("{split}/0/00.png")), b"no picture").unwrap();
    }
    let (out, _) = tiny.ok("plan", &[]);
    assert!(out.contains("there may be fewer rows: broken samples are left out"), "{out}");
    let (_, err) = tiny.ok("run", &[]);
    assert!(err.contains("11 images, 1 skipped"), "{err}");
    let (out, _) = tiny.ok("plan", &[]);
    assert!(!out.contains("rows are at most"), "{out}");
    // Where it is not skipped, it is told.
    let err = tiny.fails(1, "plan", &["--set", "data.on_bad_sample=fail"]);
    assert!(err.contains("data.on_bad_sample = \"skip\""), "{err}");
    // Too few are left for a batch, which is known once they have been decoded, and told then.
    let few = ["--set", "training.batch=12", "--run-dir", "few"];
    let err = tiny.fails(1, "run", &few);
    assert!(err.contains("11 training samples do not fill one batch of 12"), "{err}");
    assert!(!tiny.path("few/untrained").exists(), "told too late");
}

/// 56: a window longer than every recording was met when all of them had been decoded.
#[test]
fn r56_a_window_that_no_recording_fills_is_told_at_once() {
    let tiny = notes::notes();
    let settings = ["--set", "view.window=8000", "--set", "view.short=skip"];
    for command in ["plan", "run"] {
        let err = tiny.fails(1, command, &settings);
        assert!(err.contains("none of 24 recordings is as long as a window"), "{err}");
        assert!(err.contains("set `view.window` to 1020 or less"), "{err}");
    }
    // Of the test split alone.
    let longest = ["--set", "view.window=1020", "--set", "view.short=skip"];
    for take in 4..6 {
        for (tone, voice) in (0..6).map(|it| (it % 3, it / 3)) {
            let path = tiny.path(&format!("test/{tone}_v{voice}_{take}.wav"));
            sound_files::save(&path, 8000, &notes::note(tone, voice, take, 700));
        }
    }
    for command in ["plan", "run"] {
        let err = tiny.fails(1, command, &longest);
        assert!(err.contains("none of 12 recordings is as long as a window"), "{err}");
    }
    assert!(!tiny.path("runs/tiny/datasets").exists(), "it was told too late");
}

/// [`PIPELINE`] on folders of images, with a line of `[data]`.
fn of_images(line: &str) -> String {
    let (head, rest) = PIPELINE.split_once("[data.textures]").unwrap();
    let (_, rest) = rest.split_once("[view]").unwrap();
    let data = format!("[data]\ntrain = \"train\"\ntest = \"test\"\n{line}");
    format!("{head}{data}\n[view]{rest}")
}

/// A gray image of 16x16, unlike those with another number.
fn save_image(tiny: &Tiny, path: &str, number: u32) {
    let path = tiny.path(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let pixel = |x, y| image::Luma([((x * 16 + y) * (number + 1) % 251) as u8]);
    image::GrayImage::from_fn(16, 16, pixel).save(path).unwrap();
}
