//! The share of the work that a process does: given, or found in a scheduler's environment variables.

use std::str::FromStr;

use gimlet_store::Shard;

use crate::{Error, Kind, Result};

/// The value of `--shard`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShardArg {
    /// A given shard, such as `2/8`: the third of eight.
    These(Shard),
    Auto,
}

impl FromStr for ShardArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "auto" {
            return Ok(Self::Auto);
        }
        let numbers = text.split_once('/').and_then(|(index, count)| {
            Some((index.parse::<usize>().ok()?, count.parse::<usize>().ok()?))
        });
        let Some((index, count)) = numbers else {
            return Err("write I/N, such as 2/8, or auto".to_owned());
        };
        Shard::new(index, count).map(Self::These).ok_or_else(|| match count {
            0 => "there are no shards of 0".to_owned(),
            _ => format!("shards count from 0: 0/{count} to {}/{count}", count - 1),
        })
    }
}

impl ShardArg {
    /// The shard of this process.
    ///
    /// # Errors
    /// [`Kind::Usage`] when it is `auto`, and the environment does not tell the shard.
    pub fn shard(self) -> Result<Shard> {
        match self {
            Self::These(shard) => Ok(shard),
            Self::Auto => found(|name| std::env::var(name).ok()),
        }
    }
}

/// The variable with the number of shards, for schedulers that do not tell it.
const SHARDS: &str = "GIMLET_SHARDS";

const HYPER_QUEUE: &str = "HQ_TASK_ID";
const KUBERNETES: &str = "JOB_COMPLETION_INDEX";
const SLURM_ARRAY: &str = "SLURM_ARRAY_TASK_ID";
const SLURM_TASK: &str = "SLURM_PROCID";

/// The shard in the environment, which `look_up` reads: a task of HyperQueue, of an indexed job in Kubernetes,
/// or of Slurm, in this order. With a Slurm array, tasks are counted job after job.
///
/// # Errors
/// [`Kind::Usage`] when the variables are missing, or their values are impossible.
fn found(look_up: impl Fn(&str) -> Option<String>) -> Result<Shard> {
    let set = |name: &str| look_up(name).filter(|text| !text.is_empty());
    if set(HYPER_QUEUE).is_some() {
        // HyperQueue tells a task its number, but not the count.
        return counted_by(&set, HYPER_QUEUE, &[SHARDS]);
    }
    if set(KUBERNETES).is_some() {
        return counted_by(&set, KUBERNETES, &["JOB_COMPLETIONS", SHARDS]);
    }
    let array = match set(SLURM_ARRAY) {
        Some(_) => Some(of_array(&set)?),
        None => None,
    };
    // A batch script has both variables, too, but is not a task: tasks are started by `srun`, in a step.
    let tasks = match set("SLURM_STEP_ID").and(set(SLURM_TASK)) {
        Some(_) => Some((number(&set, SLURM_TASK)?, number(&set, "SLURM_NTASKS")?)),
        None => None,
    };
    let ((job, jobs), (task, tasks)) = match (array, tasks) {
        (None, None) => {
            let looked = [HYPER_QUEUE, KUBERNETES, SLURM_ARRAY, SLURM_TASK].join(", ");
            let message = format!("`--shard auto` finds no task of a scheduler: none of {looked}");
            let message = match set(SLURM_TASK) {
                Some(_) => format!("{message} (in a step of `srun`) is set"),
                None => format!("{message} is set"),
            };
            return Err(Error::new(Kind::Usage, message)
                .hint("start it by `srun` or in a job array, or say which shard: `--shard 2/8`"));
        }
        (array, tasks) => (array.unwrap_or((0, 1)), tasks.unwrap_or((0, 1))),
    };
    if task >= tasks {
        return Err(impossible(format!("{SLURM_TASK}={task} of SLURM_NTASKS={tasks}")));
    }
    let (index, count) =
        (job.saturating_mul(tasks).saturating_add(task), jobs.saturating_mul(tasks));
    Shard::new(index, count).ok_or_else(|| impossible(format!("shard {index} of {count}")))
}

/// The shard with its number in the variable `index`, and the count in the first of `counts` that is set.
fn counted_by(
    set: &impl Fn(&str) -> Option<String>,
    index: &str,
    counts: &[&str],
) -> Result<Shard> {
    let place = number(set, index)?;
    let Some(name) = counts.iter().find(|name| set(name).is_some()) else {
        let message = format!("{index}={place}, and nothing says of how many");
        return Err(Error::new(Kind::Usage, message).hint(format!(
            "set {} for all tasks, or say which shard: `--shard {place}/8`",
            counts.join(" or ")
        )));
    };
    let count = number(set, name)?;
    Shard::new(place, count).ok_or_else(|| impossible(format!("{index}={place} of {name}={count}")))
}

/// The place of a job in its array, and the number of jobs in the array.
fn of_array(set: &impl Fn(&str) -> Option<String>) -> Result<(usize, usize)> {
    let id = number(set, SLURM_ARRAY)?;
    let or = |name: &str, default: usize| match set(name) {
        Some(_) => number(set, name),
        None => Ok(default),
    };
    let count = number(set, "SLURM_ARRAY_TASK_COUNT")?;
    let (first, step) = (or("SLURM_ARRAY_TASK_MIN", 0)?, or("SLURM_ARRAY_TASK_STEP", 1)?);
    let last = or("SLURM_ARRAY_TASK_MAX", ends_at(first, step, count))?;
    let found = format!(
        "{SLURM_ARRAY}={id} of SLURM_ARRAY_TASK_COUNT={count} from SLURM_ARRAY_TASK_MIN={first} to {last} \
         in steps of {step}"
    );
    let steady = step > 0 && count > 0 && last == ends_at(first, step, count);
    if !steady || id < first || !(id - first).is_multiple_of(step) || (id - first) / step >= count {
        return Err(impossible(found));
    }
    Ok(((id - first) / step, count))
}

/// The last ID of an array with `count` IDs, `step` apart.
fn ends_at(first: usize, step: usize, count: usize) -> usize {
    first.saturating_add(count.saturating_sub(1).saturating_mul(step))
}

fn number(set: &impl Fn(&str) -> Option<String>, name: &str) -> Result<usize> {
    let text = set(name).unwrap_or_default();
    text.trim().parse().map_err(|_| {
        let what = if text.is_empty() { "is not set".into() } else { format!("is `{text}`") };
        Error::new(Kind::Usage, format!("{name} {what}; `--shard auto` needs a number there"))
            .hint("say which shard: `--shard 2/8`")
    })
}

fn impossible(found: String) -> Error {
    Error::new(Kind::Usage, format!("`--shard auto` finds {found}, which is no shard")).hint(
        "count tasks from 0, an array in even steps (`--array=0-7`), or say which shard: `--shard 2/8`",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)]) -> Result<String> {
        let look_up = |name: &str| {
            let found = variables.iter().find(|(it, _)| *it == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        found(look_up).map(|shard| shard.to_string())
    }

    fn array<'a>(
        id: &'a str,
        min: &'a str,
        max: &'a str,
        count: &'a str,
    ) -> [(&'a str, &'a str); 4] {
        [
            (SLURM_ARRAY, id),
            ("SLURM_ARRAY_TASK_MIN", min),
            ("SLURM_ARRAY_TASK_MAX", max),
            ("SLURM_ARRAY_TASK_COUNT", count),
        ]
    }

    const TASK: [(&str, &str); 3] =
        [("SLURM_STEP_ID", "0"), (SLURM_TASK, "1"), ("SLURM_NTASKS", "4")];

    #[test]
    fn schedulers_are_asked_in_their_order() {
        assert_eq!(of(&[(HYPER_QUEUE, "3"), (SHARDS, "4"), (KUBERNETES, "0")]).unwrap(), "3/4");
        assert_eq!(of(&[(KUBERNETES, "2"), ("JOB_COMPLETIONS", "5")]).unwrap(), "2/5");
        assert_eq!(of(&[(KUBERNETES, "2"), (SHARDS, "6")]).unwrap(), "2/6");
        assert_eq!(of(&array("7", "0", "7", "8")).unwrap(), "7/8");
        assert_eq!(of(&array("3", "1", "8", "8")).unwrap(), "2/8");
        let stepped = [&array("6", "2", "8", "4")[..], &[("SLURM_ARRAY_TASK_STEP", "2")]].concat();
        assert_eq!(of(&stepped).unwrap(), "2/4");
        assert_eq!(of(&TASK).unwrap(), "1/4");
        assert_eq!(of(&[&array("2", "0", "2", "3")[..], &TASK].concat()).unwrap(), "9/12");
        // A batch script is not a task in a step.
        assert_eq!(of(&[&array("2", "0", "2", "3")[..], &TASK[1..]].concat()).unwrap(), "2/3");
    }

    #[test]
    fn what_cannot_be_is_a_mistake_of_usage_with_what_was_found() {
        let stepped = [&array("3", "2", "8", "4")[..], &[("SLURM_ARRAY_TASK_STEP", "2")]].concat();
        for (variables, says) in [
            (vec![], "none of HQ_TASK_ID"),
            (TASK[1..].to_vec(), "in a step of `srun`"),
            (vec![(HYPER_QUEUE, "3")], "HQ_TASK_ID=3"),
            (vec![(HYPER_QUEUE, "4"), (SHARDS, "4")], "GIMLET_SHARDS=4"),
            (vec![(KUBERNETES, "-1"), ("JOB_COMPLETIONS", "5")], "`-1`"),
            (vec![(KUBERNETES, "0"), ("JOB_COMPLETIONS", "0")], "JOB_COMPLETIONS=0"),
            (vec![(SLURM_ARRAY, "3")], "SLURM_ARRAY_TASK_COUNT is not set"),
            (array("9", "0", "7", "8").to_vec(), "SLURM_ARRAY_TASK_ID=9"),
            // `--array=1,3,10`.
            (array("1", "1", "10", "3").to_vec(), "from SLURM_ARRAY_TASK_MIN=1 to 10"),
            (array("0", "0", "0", "0").to_vec(), "SLURM_ARRAY_TASK_COUNT=0"),
            (stepped, "in steps of 2"),
            (vec![TASK[0], (SLURM_TASK, "4"), TASK[2]], "SLURM_PROCID=4"),
            (vec![TASK[0], TASK[1], ("SLURM_NTASKS", "many")], "`many`"),
        ] {
            let error = of(&variables).unwrap_err();
            assert_eq!(error.kind(), Kind::Usage);
            assert!(error.to_string().contains(says), "{error}");
            assert!(error.hint_text().is_some());
        }
    }

    #[test]
    fn a_shard_is_written_as_its_place_from_0_and_how_many_there_are() {
        let these = |index, count| ShardArg::These(Shard::new(index, count).unwrap());
        assert_eq!("2/8".parse(), Ok(these(2, 8)));
        assert_eq!("auto".parse(), Ok(ShardArg::Auto));
        for wrong in ["", "2", "8/8", "0/0", "-1/8", "a/b", "1/2/3", "1 / 2"] {
            assert!(wrong.parse::<ShardArg>().is_err(), "{wrong}");
        }
    }
}
