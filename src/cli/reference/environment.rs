//! The page of environment variables.

use std::fmt::Write;

use super::pages::GENERATED;
use super::paragraphs::wrapped;

/// Environment variables with one purpose.
struct Variables {
    names: &'static [&'static str],
    /// What holds when they are not set; empty where nothing is to be said.
    unset: &'static str,
    doc: &'static str,
}

/// All variables that the program reads, by heading.
const ALL: &[(&str, &[Variables])] = &[
    (
        "Data and storage",
        &[
            Variables {
                names: &["GIMLET_DATA"],
                unset: "the folder of the pipeline file",
                doc: "The folder that relative paths of data start from, where the pipeline has no `data.root`.",
            },
            Variables {
                names: &["GIMLET_PYTHON"],
                unset: "`python.interpreter` of the pipeline, else `python3`",
                doc: "The Python that runs modules written in PyTorch, whatever the pipeline says.",
            },
            Variables {
                names: &["PATH", "PYTHONPATH", "PYTHONHOME"],
                unset: "",
                doc: "Where that Python and its packages are found. What is remembered of a module is remembered for one \
                      value of each.",
            },
            Variables {
                names: &["GIMLET_CACHE_DIR"],
                unset: "`gimlet` in `XDG_CACHE_HOME`, else in `~/.cache`",
                doc: "The folder for this machine's copy of object storage, for parts on their way there, and for what is \
                      remembered of modules in PyTorch. You may remove it while no process of `gimlet` runs.",
            },
            Variables {
                names: &["XDG_CACHE_HOME", "HOME"],
                unset: "the folder for temporary files",
                doc: "The user's cache folder, and the folder it lies in. Read where `GIMLET_CACHE_DIR` is not set.",
            },
            Variables {
                names: &["GIMLET_STORE_PATIENCE"],
                unset: "60",
                doc: "Seconds for which a request to object storage is made again before it fails.",
            },
            Variables {
                names: &["GIMLET_LEASE_SECONDS"],
                unset: "90",
                doc: "Seconds after which a lock on object storage counts as that of a dead process. All processes on one \
                      store need the same value.",
            },
        ],
    ),
    (
        "Object storage",
        &[
            Variables {
                names: &[
                    "AWS_ACCESS_KEY_ID",
                    "AWS_SECRET_ACCESS_KEY",
                    "AWS_REGION",
                    "AWS_ENDPOINT_URL",
                ],
                unset: "",
                doc: "Credentials, region and server of `s3://`. Other `AWS_` variables of the crate `object_store` are \
                      read, too: session tokens, profiles of containers, unsigned requests.",
            },
            Variables {
                names: &[
                    "AWS_WEB_IDENTITY_TOKEN_FILE",
                    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
                    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
                    "AWS_METADATA_ENDPOINT",
                ],
                unset: "the metadata address of Amazon machines is asked",
                doc: "Sources of credentials for `s3://` on Amazon's machines.",
            },
            Variables {
                names: &["GOOGLE_APPLICATION_CREDENTIALS"],
                unset: "",
                doc: "The file with credentials of `gs://`.",
            },
            Variables {
                names: &[
                    "AZURE_STORAGE_ACCOUNT_NAME",
                    "AZURE_STORAGE_ACCOUNT_KEY",
                    "AZURE_STORAGE_ENDPOINT",
                    "AZURE_ENDPOINT",
                ],
                unset: "",
                doc: "Account, key and server of `az://`.",
            },
        ],
    ),
    (
        "Shards (`--shard auto`)",
        &[
            Variables {
                names: &["HQ_TASK_ID"],
                unset: "not a task of HyperQueue",
                doc: "The shard of a task of HyperQueue; `GIMLET_SHARDS` says of how many.",
            },
            Variables {
                names: &["JOB_COMPLETION_INDEX", "JOB_COMPLETIONS"],
                unset: "not a job of Kubernetes",
                doc: "The shard of an indexed job in Kubernetes, and of how many.",
            },
            Variables {
                names: &[
                    "SLURM_ARRAY_TASK_ID",
                    "SLURM_ARRAY_TASK_COUNT",
                    "SLURM_ARRAY_TASK_MIN",
                    "SLURM_ARRAY_TASK_MAX",
                    "SLURM_ARRAY_TASK_STEP",
                ],
                unset: "not a job of an array",
                doc: "The place of a job in a Slurm array.",
            },
            Variables {
                names: &["SLURM_STEP_ID", "SLURM_PROCID", "SLURM_NTASKS"],
                unset: "not a task of `srun`",
                doc: "The place of a task that `srun` started. With an array, tasks are counted job after job.",
            },
            Variables {
                names: &["GIMLET_SHARDS"],
                unset: "what the scheduler says",
                doc: "The number of shards, for schedulers that tell a task its number alone.",
            },
        ],
    ),
    (
        "Threads and terminal",
        &[
            Variables {
                names: &["RAYON_NUM_THREADS"],
                unset: "one thread per core",
                doc: "Threads to compute with, where `--threads` is not given.",
            },
            Variables {
                names: &["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "TERM", "COLORTERM", "CI"],
                unset: "colours on a terminal",
                doc: "Whether text and pictures have colours: `NO_COLOR=1` never, `CLICOLOR_FORCE=1` always.",
            },
            Variables {
                names: &["COLUMNS"],
                unset: "the width of the terminal; no limit where there is none",
                doc: "The columns that tables and notes may take.",
            },
            Variables {
                names: &["RUST_LOG"],
                unset: "`off`",
                doc: "Diagnostics for developers on stderr, such as `gimlet=debug`.",
            },
        ],
    ),
    (
        "Set by the program itself",
        &[Variables {
            names: &["GIMLET_SUPERVISED"],
            unset: "",
            doc: "Set for processes that `gimlet` starts: each stops when its stdin ends. Do not set it.",
        }],
    ),
];

/// The page.
pub fn page() -> String {
    let mut page =
        format!("# Environment variables\n\n{GENERATED}\n\nAll that the program reads.\n");
    for (heading, all) in ALL {
        let _ = write!(page, "\n## {heading}\n");
        for Variables { names, unset, doc } in *all {
            let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
            let _ = write!(page, "\n### {}\n\n{}\n", names.join(", "), wrapped(doc, 0, 120));
            if !unset.is_empty() {
                let _ = write!(page, "\n- When unset: {unset}\n");
            }
        }
    }
    page
}
