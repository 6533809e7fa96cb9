//! A Python with PyTorch.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Result;
use crate::arguments::repository;

pub struct Python {
    program: PathBuf,
}

impl Python {
    /// `GIMLET_PYTHON`, else a virtual environment that is made once, in `target`.
    ///
    /// # Errors
    /// When it has no PyTorch: then there is nothing to compare with.
    pub fn find() -> Result<Self> {
        if let Some(program) = std::env::var_os("GIMLET_PYTHON") {
            return Ok(Self { program: program.into() });
        }
        let folder = repository().join("target/compare-python");
        let program = folder.join("bin/python");
        let run = |program: &Path, arguments: &[&str]| -> Result<()> {
            let status = Command::new(program).args(arguments).status()?;
            if status.success() { Ok(()) } else { Err(format!("{arguments:?} failed").into()) }
        };
        if !program.exists() {
            run(Path::new("python3"), &["-m", "venv", &folder.display().to_string()])?;
        }
        let requirements = repository().join("benches/compare/requirements.txt");
        let requirements = requirements.display().to_string();
        run(&program, &["-m", "pip", "install", "--quiet", "-r", &requirements])?;
        Ok(Self { program })
    }

    pub fn version(&self) -> Result<String> {
        let output = Command::new(&self.program).arg(script()).arg("version").output()?;
        Ok(String::from_utf8(output.stdout)?.trim().to_string())
    }

    /// PyTorch's side of a case.
    pub fn side(&self, case: &Path, flavour: &str, threads: usize) -> Result<Command> {
        let mut command = Command::new(&self.program);
        command.arg(script()).arg(case).arg(flavour).arg(threads.to_string());
        if flavour == "best" {
            // glibc gives large memory back at once, and every step finds it anew, page by page.
            let keeps = [
                ("MALLOC_TOP_PAD_", "268435456"),
                ("MALLOC_MMAP_THRESHOLD_", "17179869184"),
                ("MALLOC_TRIM_THRESHOLD_", "17179869184"),
            ];
            command.envs(keeps);
        }
        Ok(command)
    }
}

fn script() -> PathBuf {
    repository().join("benches/compare/torch_side.py")
}
